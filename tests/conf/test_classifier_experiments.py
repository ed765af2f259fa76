"""The classifiers of conf/experiment: they compose, are the published networks, and take a training step when shrunk."""

import re
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rows import CLASSIFIERS, changed, header

from difflab.classifier import NoisyClassifier
from difflab.config.keys import check_keys
from difflab.config.trust import read_back
from difflab.data import AllButEveryNth, EveryNth
from difflab.noise import ImageNoise
from one_pass import each
from tiny import losses_of

PUBLISHED = {  # Dhariwal and Nichol 2021, table 12: million parameters, weight decay, batch, iterations, learning rate
    "adm/classifier_64": (65, 0.2, 1024, 300_000, 6e-4),
    "adm/classifier_128": (43, 0.05, 256, 300_000, 3e-4),
    "adm/classifier_256": (54, 0.05, 256, 500_000, 3e-4),
    "adm/classifier_512": (54, 0.05, 256, 500_000, 3e-4),
}


def test_every_classifier_of_the_table_is_there():
    assert set(CLASSIFIERS) == {*PUBLISHED, "digits_classifier"}


@each("name", CLASSIFIERS)
def test_it_composes_into_the_published_network(name, composed, base):
    config = composed(f"+experiment={name}")
    check_keys(config, base)
    read_back(OmegaConf.to_yaml(config, resolve=True), Path("config.yaml"))  # as whoever asks it for guidance does
    with torch.device("meta"):
        network = instantiate(config.network, _convert_="all")
    schedule, parameterization, objective = (
        instantiate(config[part], _convert_="all") for part in ("schedule", "parameterization", "objective")
    )
    classifier = NoisyClassifier(network, schedule, parameterization)
    objective.check(classifier)
    assert classifier.image_shape == (config.data.channels, config.data.image_size, config.data.image_size)
    assert classifier.num_classes == config.data.num_classes
    assert not {"variance", "sampler", "extractor"} & set(config), "what a classifier does not use is not set"

    millions = sum(p.numel() for p in network.parameters()) / 1e6
    (stated,) = re.findall(r"# cost +([\d.]+) M parameters", "\n".join(header(name)))
    assert f"{millions:.1f}" == stated
    if name in PUBLISHED:
        trained = config.optimizer.weight_decay, config.data.batch_size, config.trainer.max_steps, config.optimizer.lr
        assert (round(millions), *trained) == PUBLISHED[name]


@each("name", CLASSIFIERS)
def test_shrunk_it_takes_a_training_step_and_is_judged(name, composed, base):
    config = composed(f"+experiment={name}", "+shrink=tiny")
    check_keys(config, base)
    torch.manual_seed(0)
    data, module = (instantiate(config[part], _convert_="all") for part in ("data", "module"))
    batch = next(iter(data.train_dataloader()))
    weights = dict(module.model.named_parameters())
    before = {key: p.detach().clone() for key, p in weights.items()}
    for p in weights.values():
        if not p.any():
            torch.nn.init.normal_(p, std=0.05)
    optimizers = module.configure_optimizers()
    losses = losses_of(module.objective, module.model, batch.x0, batch.cond, ImageNoise(0, batch.number))
    losses.total.mean().backward()
    assert losses.terms.keys() == {"loss", "top1", "top5"}
    dead = [key for key, p in weights.items() if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()]
    assert not dead
    optimizers["optimizer"].step()
    assert all(not torch.equal(before[key], p) for key, p in weights.items())

    callback = instantiate(config.evaluation, _convert_="all").callback(data, None)
    found = callback.evaluate(module.model.eval(), torch.device("cpu"))
    assert 0 <= found["top1"] <= found["top5"] <= 1
    assert found["loss"] > 0


def test_only_the_sizes_differ_between_the_classifiers_of_the_table(composed):
    other = composed("+experiment=adm/classifier_256")
    assert changed(composed("+experiment=adm/classifier_512"), other) == {
        "data.image_size",
        "held_out.image_size",
        "data.dataset.image_size",
        "network.image_size",
        "network.channel_mult",
        "evaluation.images.image_size",
    }


def test_digits_to_train_on_and_digits_to_judge_by_have_nothing_in_common(composed):
    config = composed("+experiment=digits_classifier")
    train, held_out = (instantiate(node, _convert_="all") for node in (config.data.dataset, config.held_out))
    assert isinstance(train, AllButEveryNth)
    assert isinstance(held_out, EveryNth)
    assert train.num_classes == held_out.num_classes == 10
    whole = train._dataset.images(range(1797))
    back = torch.empty_like(whole)
    everywhere = torch.arange(1797)
    back[everywhere % 10 == 0] = held_out.images(range(len(held_out)))
    back[everywhere % 10 != 0] = train.images(range(len(train)))
    assert len(train) + len(held_out) == 1797
    assert torch.equal(back, whole)
    assert held_out.labels is not None
    assert train._dataset.labels is not None
    assert torch.equal(held_out.labels, train._dataset.labels[::10])
    assert train.fingerprint != held_out.fingerprint
