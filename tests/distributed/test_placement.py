"""Which processes srun, torchrun and mpirun have started, however they were asked to."""

import pytest

from difflab.distributed.placement import ALONE, host, idle_tasks, placement, started_shape
from difflab.distributed.world import StepOfSlurm, environment
from difflab.runtime.process import is_beside_first, launched_rank

BATCH = {"SLURM_JOB_ID": "12345", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "interactive"}
STEP = BATCH | {
    "SLURM_STEP_ID": "3",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NUM_NODES": "1",
    "SLURM_STEP_NODELIST": "node[7-8,11]",
    "SLURM_STEP_TASKS_PER_NODE": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}


def set_all(monkeypatch, variables: dict[str, str]) -> None:
    for key, value in variables.items():
        monkeypatch.setenv(key, value)


def test_what_srun_has_started_is_joined_whatever_the_job_is_called(monkeypatch):
    """As in salloc, whose job is called interactive, and without --ntasks-per-node: Lightning alone would train twice."""
    set_all(monkeypatch, STEP)
    assert (placement().rank, placement().size, placement().address) == (1, 2, "node7")
    assert started_shape() == (2, 1)
    assert launched_rank() == 1
    (found,) = environment()
    assert isinstance(found, StepOfSlurm)
    assert (found.world_size(), found.global_rank(), found.creates_processes_externally) == (2, 1, True)


def test_one_process_in_an_allocation_of_several_tasks_is_alone(monkeypatch):
    """Lightning alone would wait half an hour for the others."""
    set_all(monkeypatch, BATCH)
    assert placement() == ALONE
    assert started_shape() is None
    assert idle_tasks() == 1
    (found,) = environment()
    assert not found.creates_processes_externally
    monkeypatch.setenv("LOCAL_RANK", "1")  # one that Lightning has started beside it
    assert launched_rank() == 1
    assert is_beside_first()


def test_a_shell_that_srun_has_given_a_terminal_is_alone(monkeypatch):
    set_all(monkeypatch, STEP | {"SLURM_PTY_PORT": "1234"})
    assert placement() == ALONE


def test_steps_of_a_job_meet_in_places_of_their_own(monkeypatch):
    set_all(monkeypatch, STEP)
    first = placement()
    monkeypatch.setenv("SLURM_STEP_ID", "4")
    assert placement().port != first.port
    assert placement().occasion != first.occasion


def test_machines_with_unequal_numbers_of_processes_are_refused(monkeypatch):
    set_all(
        monkeypatch,
        STEP | {"SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_TASKS_PER_NODE": "2,1"},
    )
    with pytest.raises(ValueError, match=r"3 processes, 2,1 on its machines .* every machine needs as many"):
        started_shape()


@pytest.mark.parametrize("variable", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_mpirun_is_refused_with_the_remedy(monkeypatch, variable):
    monkeypatch.setenv(variable, "2")
    with pytest.raises(ValueError, match=r"mpirun has started 2 processes.*torchrun"):
        started_shape()
    set_all(monkeypatch, STEP)  # srun --mpi=pmi2 sets it as well
    assert placement().started_by == "srun"


def test_a_machine_has_the_name_that_slurm_knows(monkeypatch):
    monkeypatch.setenv("SLURMD_NODENAME", "node9")
    assert host() == "node9"
