"""Gray to Glory: the support library of the colorization course in `notebooks/`."""

import warnings

__version__ = "0.1.0"

# torchvision still scripts functions at import; nothing a reader of a notebook could mend
warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
# timm asks for ipywidgets at import, for bars that nobody would see
warnings.filterwarnings("ignore", message="IProgress not found")
