"""The report's page: its text, with places for measured numbers, and tables and figures as HTML."""

import base64
import html
import io
from pathlib import Path

from PIL import Image


def shrunk(png: Path, width: int) -> bytes:
    """The picture as PNG, at most `width` pixels wide."""
    with Image.open(png) as picture:
        small = picture.convert("RGB")
    small.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def inline(png: Path, caption: str, width: int = 900) -> str:
    """A figure as HTML with its picture inside, at most `width` pixels wide."""
    data, words = base64.b64encode(shrunk(png, width)).decode(), html.escape(caption)
    return (f'<figure><img src="data:image/png;base64,{data}" alt="{words}">'
            f"<figcaption>{words}</figcaption></figure>")


def as_html(markdown: str) -> str:
    """The tables and list items of a Markdown text of ours as HTML."""
    lines = [html.escape(line) for line in markdown.splitlines()]
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|") and "---" not in line]
    cells = ["".join(f"<{'td' if i else 'th'}>{cell.strip()}</{'td' if i else 'th'}>" for cell in row)
             for i, row in enumerate(rows)]
    notes = "".join(f"<li>{line[2:]}</li>" for line in lines if line.startswith("- "))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>" + f"<ul>{notes}</ul>" * bool(notes)


TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Gray to Glory, measured: $profile</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.55 Georgia, serif;
  color: #222; }
h1, h2, h3 { font-family: sans-serif; line-height: 1.25; }
table { border-collapse: collapse; font: 12px/1.4 sans-serif; margin: 1rem 0; display: block;
  overflow-x: auto; }
th, td { border-bottom: 1px solid #ccc; padding: 0.3rem 0.5rem; text-align: left; vertical-align: top; }
figure { margin: 1.5rem 0; } img { max-width: 100%; } figcaption { font-size: 14px; color: #555; }
.note { background: #fff4d6; padding: 0.7rem 1rem; }
</style></head><body>
<h1>Gray to Glory: colouring photographs with a CNN, a U-Net and a conditional GAN, measured again</h1>
<p class="note">Profile <strong>$profile</strong>: $purpose. Every number on this page was measured on the
runs named in section 3; the course report's own numbers stand in columns that say so.</p>
$fig_teaser

<h2>Abstract</h2>
<p>Three networks learn to add colour to gray photographs: an encoder-decoder CNN, a U-Net with a ResNet-18
encoder ($encoder), and that U-Net trained on as the generator of a conditional GAN. On $test test
photographs of $size px their mean absolute error of a*/110 and b*/110 is $mae_cnn, $mae_unet and $mae_cgan.
A picture left gray scores $mae_gray and the best single colour $mae_constant, so these are the numbers to
beat. A fourth run trains the U-Net on without an adversary for $more_epochs more epochs, and scores
$mae_unet_long. LPIPS (VGG): $lpips.</p>

<h2>1. The task</h2>
<p>A gray photograph tells how light each point is, not which colour it had: many colourings fit one
picture. A network that is punished for every deviation answers with a compromise, and a compromise between
colours is dull. The question of the course is what more layers, pretrained features and an adversary change
about that, and how one would know.</p>

<h2>2. Approach</h2>
<h3>2.1 Preparation</h3>
<p>Photographs are squeezed to $size × $size px and converted to CIE L*a*b*. The networks are given L*/50 −
1 and asked for a*/110 and b*/110; in training, half of the photographs are mirrored.</p>
$fig_preprocessing
<h3>2.2 Networks</h3>
<p>The <strong>CNN</strong> squeezes the picture through a narrow middle and paints from what is left, its
answer bounded by tanh.</p>
$fig_cnn_architecture
<p>The <strong>U-Net</strong> (fastai's DynamicUnet) hands the fine detail of each level of a ResNet-18
across to the decoder; its answer has no bound and is clipped for display only.</p>
$fig_unet_architecture
<p>The <strong>conditional GAN</strong> goes on from the trained U-Net. A PatchGAN discriminator sees L
together with true or generated ab and judges patches of $field px; the generator pays its verdict plus λ =
$lam times the L1 error.</p>
$fig_gan_architecture

<h2>3. Protocol</h2>
<p>Photographs: $source; $train to train, $valid of their kind to validate, $test to test, which no training
has read (set $hash). $near_gray of the test photographs are nearly gray (mean chroma below 5). The CNN and
the U-Net minimise L1 with Adam, the GAN has two Adams with β1 = 0.5. Scored is the epoch of lowest
validation L1, of the cGAN the last one. Together the runs took $minutes minutes.</p>
$runs
<p>Software: $versions.</p>
$fig_loss_curves

<h2>4. Results</h2>
<h3>4.1 Table 1</h3>
$table
<p>Read the first two rows first. Most pixels of everyday photographs are near gray, so ab = 0 is never far off, and
MAE, PSNR and SSIM all reward caution. Colourfulness does not: the truth's is $colorfulness_truth, the CNN's
$colorfulness_cnn, the U-Net's $colorfulness_unet, the cGAN's $colorfulness_cgan.</p>
<h3>4.2 Photo by photo</h3>
<ul>$comparisons</ul>
<h3>4.3 Pictures</h3>
<p>The first five test photographs; nobody picked them.</p>
$fig_qualitative_grid
$fig_best_and_worst
<h3>4.4 The collapse toward gray</h3>
<p>What a model never dares to answer is seen in its joint histogram of a* and b*, and where it fails in the
error by chroma: the more colour a photograph has, the more there is to miss.</p>
$fig_ab_histograms
$fig_error_against_chroma
<h3>4.5 Parameters</h3>
<p>$parameter_text</p>
$fig_parameter_analysis

<h2>5. The report's claims</h2>
<p>Each verdict is computed by its rule, from these runs alone.</p>
<table><tr><th>claim</th><th>verdict</th><th>because</th><th>rule</th></tr>$verdicts</table>

<h2>6. What this does not show</h2>
<p>One seed per run: the intervals are over photographs, and another seed may move a mean by more. One
source of photographs, squeezed to squares. No metric here knows what is plausible; people do, and notebook
06 asks them. Colours are inventions wherever the gray picture does not decide: no coloured archive or
medical picture is evidence of a colour.</p>
<p>Next steps: a loss that lets the model name several colours instead of their average (Zhang et al. 2016),
perceptual losses, more varied photographs, diffusion models (Ho et al. 2020; Palette, Saharia et al.
2022).</p>

<h2>References</h2>
<ol>
<li>T. Deshpande, “Gray to Glory: Performance Analysis of Image Coloration Models”, course project, Virginia
Tech, 2024: the report that is measured here again.</li>
<li>R. Zhang, P. Isola, A. A. Efros, “Colorful Image Colorization”, ECCV 2016, arXiv 1603.08511.</li>
<li>P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros, “Image-to-Image Translation with Conditional Adversarial
Networks”, CVPR 2017, arXiv 1611.07004.</li>
<li>M. Mirza, S. Osindero, “Conditional Generative Adversarial Nets”, 2014, arXiv 1411.1784.</li>
<li>O. Ronneberger, P. Fischer, T. Brox, “U-Net”, MICCAI 2015, arXiv 1505.04597.</li>
<li>R. Zhang, P. Isola, A. A. Efros, E. Shechtman, O. Wang, “The Unreasonable Effectiveness of Deep Features
as a Perceptual Metric”, CVPR 2018, arXiv 1801.03924.</li>
<li>Y. Wu, X. Wang, Y. Li, H. Zhang, X. Zhao, Y. Shan, “Towards Vivid and Diverse Image Colorization with
Generative Color Prior”, ICCV 2021, arXiv 2108.08826.</li>
<li>D. Hasler, S. Süsstrunk, “Measuring Colourfulness in Natural Images”, 2003.</li>
<li>G. Sharma, W. Wu, E. N. Dalal, “The CIEDE2000 Color-Difference Formula”, 2005.</li>
<li>C. Saharia et al., “Palette: Image-to-Image Diffusion Models”, SIGGRAPH 2022, arXiv 2111.05826.</li>
<li>J. Ho, A. Jain, P. Abbeel, “Denoising Diffusion Probabilistic Models”, NeurIPS 2020, arXiv
2006.11239.</li>
</ol>
</body></html>
"""
