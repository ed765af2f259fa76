"""Numbers of different protocols are not compared, and a protocol is what defines the number alone."""

import pytest

from difflab.metrics import Protocol, ProtocolMismatch, check_comparable

NESTED = {
    "metric": {"name": "fid"},
    "samples": 50000,
    "sampler": {"_target_": "difflab.samplers.DDIM", "eta": 0.0, "grid": {"steps": 25}},
    "guidance": {"clip": {"low": -1.0, "high": 1.0}},
    "track": "ema",
    "classes": [1, 2],
    "precision": None,
}
PROTOCOL = Protocol.of(NESTED)


def changed(field: str, value: object) -> Protocol:
    return Protocol({**PROTOCOL.fields, field: value})


def test_fields_are_dotted_paths():
    assert PROTOCOL.fields["sampler.grid.steps"] == 25
    assert PROTOCOL.fields["classes.1"] == 2
    assert list(PROTOCOL.fields) == sorted(PROTOCOL.fields)


@pytest.mark.parametrize("field", list(PROTOCOL.fields))
def test_every_field_changes_the_fingerprint_and_is_named(field):
    other = changed(field, "something else")
    assert other.fingerprint != PROTOCOL.fingerprint
    with pytest.raises(ProtocolMismatch) as refusal:
        check_comparable(PROTOCOL, other)
    assert [d.field for d in refusal.value.differences] == [field]
    assert f"waive=[{field}]" in str(refusal.value)
    assert "something else" in str(refusal.value)
    assert [d.second for d in check_comparable(PROTOCOL, other, [field])] == ["something else"]


def test_the_order_of_fields_says_nothing():
    turned = Protocol(dict(reversed(list(PROTOCOL.fields.items()))))
    assert turned.fingerprint == PROTOCOL.fingerprint
    assert check_comparable(turned, PROTOCOL) == []


def test_a_field_that_one_side_lacks_is_a_difference():
    with pytest.raises(ProtocolMismatch, match=r"track \(ema against not stated\)"):
        check_comparable(PROTOCOL, PROTOCOL.without("track"))


def test_a_waiver_covers_what_lies_below_it_and_no_other_name():
    other = changed("sampler.grid.steps", 50)
    assert len(check_comparable(PROTOCOL, other, ["sampler"])) == 1
    for waived in ("samp", "sampler.grid.step", "samples"):
        with pytest.raises(ProtocolMismatch):
            check_comparable(PROTOCOL, other, [waived])


def test_each_difference_needs_its_own_waiver():
    other = Protocol({**PROTOCOL.fields, "samples": 10, "track": "online"})
    with pytest.raises(ProtocolMismatch) as refusal:
        check_comparable(PROTOCOL, other, ["samples"])
    assert [d.field for d in refusal.value.differences] == ["track"]


def test_what_is_no_plain_value_is_refused_where_it_stands():
    with pytest.raises(TypeError, match=r"sampler.grid = <object"):
        Protocol.of({"sampler": {"grid": object()}})
