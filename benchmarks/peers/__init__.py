"""Training as other projects do it, and as difflab does it, behind one interface.

Every one of them trains the same network, as far as its code has it, on the same images in memory, in float32 or under autocast: noise
of a random step of a linear schedule of 1,000 is added to the images, the network says what the noise was, the squared error goes back,
Adam takes a step, an average of the weights takes it in. What belongs to a project's step only by a choice of its script and would be
further work is left out: clipping of gradients (diffusers, denoising-diffusion-pytorch) and a look at norms (guided-diffusion).
"""

from benchmarks.peers.architecture import Architecture
from benchmarks.peers.bare_loop import BareLoop, Peer
from benchmarks.peers.images import Images
from benchmarks.peers.training import Training
from benchmarks.peers.work import Work

__all__ = ["Architecture", "BareLoop", "Images", "Peer", "Training", "Work"]
