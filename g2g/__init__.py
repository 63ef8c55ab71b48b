"""Gray to Glory: the support library of the colourization course in `notebooks/`."""

import warnings

__version__ = "0.1.0"

# torchvision still scripts functions at import; nothing a reader of a notebook could mend
warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
