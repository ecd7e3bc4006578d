"""What a run lets be seen of itself while it goes on: where its time goes."""

import json
from types import SimpleNamespace

import pytest
from test_cli import make_data

import centernet_torch
from centernet_data import training
from centernet_data.batches import Batches
from centernet_data.cli import main
from centernet_data.run_folder import RunFolder

TINY = ("--image-size", "32", "--batch-size", "2", "--epochs", "2", "--checkpoint-every", "2", "--backend", "torch")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def train(data, out, *more):
    return main(["train", "--data", str(data), "--out", str(out), *TINY, *more])


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_step_waits_and_computes_and_what_is_between_steps_counts_as_neither(data, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def taking(seconds, function):
        def timed(*arguments):
            clock.now += seconds
            return function(*arguments)

        return timed

    def prefetched(batches, first, last, workers):
        for step in range(first, last):
            clock.now += 2
            yield batches[step]

    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Batches, "prefetched", prefetched)
    monkeypatch.setattr(centernet_torch, "train_step", taking(3, centernet_torch.train_step))
    monkeypatch.setattr(RunFolder, "append_metrics", taking(100, RunFolder.append_metrics))
    assert train(data, tmp_path / "run") == 0
    lines = [line for line in metrics(tmp_path / "run") if "loss" in line]
    assert [(line["seconds_waiting"], line["seconds_computing"]) for line in lines] == [(2, 3)] * 3
    assert [line["images_per_second"] for line in lines] == [None, 0.4, 0.4]
