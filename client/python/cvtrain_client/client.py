"""The client itself."""

import time
import uuid
from collections.abc import Iterator

import grpc
from cvtrain.v1 import (
    checkpoint_pb2_grpc,
    cluster_pb2_grpc,
    dataset_pb2_grpc,
    error_pb2,
    experiment_pb2,
    experiment_pb2_grpc,
    log_pb2_grpc,
    metric_pb2,
    metric_pb2_grpc,
    recipe_pb2,
    trial_pb2,
    trial_pb2_grpc,
    worker_pb2_grpc,
)

_ENDED = {
    experiment_pb2.Experiment.STATE_SUCCEEDED,
    experiment_pb2.Experiment.STATE_FAILED,
    experiment_pb2.Experiment.STATE_CANCELLED,
}


class CvtrainError(Exception):
    """What a service answered: a gRPC code, a stable reason, and the broken rules if any."""

    def __init__(self, code: grpc.StatusCode, message: str, info: error_pb2.ErrorInfo):
        super().__init__(f"{code.name} ({info.reason}): {message}")
        self.code = code
        self.reason = info.reason
        self.violations = list(info.violations)


def _error_of(error: grpc.RpcError) -> CvtrainError:
    info = error_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        # A google.rpc.Status-shaped envelope is gRPC's own; ours is the details of the status.
        if key == "grpc-status-details-bin":
            try:
                info.ParseFromString(value)
            except Exception:  # noqa: BLE001 - details of another kind are not ours to explain
                info = error_pb2.ErrorInfo()
    return CvtrainError(error.code(), error.details(), info)


class Client:
    """A coordinator. `address` is unix:/path, or host:port with `credentials`.

    Calls wait at most `timeout` seconds. A coordinator that is away is asked again until then,
    which is safe: reads change nothing, and mutations carry a request id.
    """

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None, timeout: float = 30):
        self._timeout = timeout
        if credentials is None:
            if not address.startswith("unix:"):
                raise ValueError(f"{address}: a network address needs credentials (mutual TLS)")
            # The socket has no host name to put into the :authority header.
            options = [("grpc.default_authority", "localhost")]
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials)
        self.checkpoints = checkpoint_pb2_grpc.CheckpointServiceStub(self._channel)
        self.cluster = cluster_pb2_grpc.ClusterServiceStub(self._channel)
        self.datasets = dataset_pb2_grpc.DatasetServiceStub(self._channel)
        self.experiments = experiment_pb2_grpc.ExperimentServiceStub(self._channel)
        self.logs = log_pb2_grpc.LogServiceStub(self._channel)
        self.metric_service = metric_pb2_grpc.MetricServiceStub(self._channel)
        self.trials = trial_pb2_grpc.TrialServiceStub(self._channel)
        self.workers = worker_pb2_grpc.WorkerServiceStub(self._channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def call(self, method, request):
        """Calls a method of a stub; raises CvtrainError."""
        end = time.monotonic() + self._timeout
        while True:
            try:
                return method(request, timeout=max(0.1, end - time.monotonic()))
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() + 0.2 > end:
                    raise _error_of(error) from error
                time.sleep(0.2)

    def submit(self, spec: recipe_pb2.ExperimentSpec, request_id: str | None = None) -> experiment_pb2.Experiment:
        """Submits an experiment once, however often the request has to be sent."""
        request = experiment_pb2.CreateExperimentRequest(spec=spec, request_id=request_id or str(uuid.uuid4()))
        return self.call(self.experiments.CreateExperiment, request).experiment

    def get(self, name: str) -> experiment_pb2.Experiment:
        request = experiment_pb2.GetExperimentRequest(name=name)
        return self.call(self.experiments.GetExperiment, request).experiment

    def list_trials(self, experiment: str) -> list[trial_pb2.Trial]:
        """All trials of an experiment, in the order in which the search made them."""
        request = trial_pb2.ListTrialsRequest(parent=experiment, page_size=1000)
        trials = []
        while True:
            response = self.call(self.trials.ListTrials, request)
            trials.extend(response.trials)
            if not response.next_page_token:
                return trials
            request.page_token = response.next_page_token

    def follow(self, experiment: str, interval: float = 0.5) -> Iterator[list[trial_pb2.Trial]]:
        """Yields the trials again and again, until after the experiment has ended."""
        while True:
            ended = self.get(experiment).state in _ENDED
            yield self.list_trials(experiment)
            if ended:
                return
            time.sleep(interval)

    def metrics(self, trial: str, names: list[str] | None = None) -> dict[str, list[tuple[int, float]]]:
        """Points (step, value) of the series of a trial, each step once, in order."""
        request = metric_pb2.QueryMetricsRequest(trial=trial, metrics=names or [])
        points: dict[str, list[tuple[int, float]]] = {}
        while True:
            response = self.call(self.metric_service.QueryMetrics, request)
            for series in response.series:
                points.setdefault(series.metric, []).extend(zip(series.steps, series.values))
            if not response.next_step:
                return points
            request.from_step = response.next_step
