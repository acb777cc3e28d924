#include "coordinator/engine/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/state/decide_dataset.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/engine/fake_cluster.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ViewsTest : public ::testing::Test {
 protected:
  template <typename Response, typename Request>
  absl::StatusOr<Response> List(absl::StatusOr<Response> (*list)(const View&, const PageTokens&,
                                                                 absl::string_view, const Request&),
                                const Request& request, const std::string& caller = "ann") {
    return cluster_.Look([&](const View& view) { return list(view, tokens_, caller, request); });
  }
  template <typename Response, typename Request>
  absl::StatusOr<Response> Get(absl::StatusOr<Response> (*get)(const View&, const Request&),
                               const std::string& name) {
    Request request;
    request.set_name(name);
    return cluster_.Look([&](const View& view) { return get(view, request); });
  }

  FakeCluster cluster_;
  const PageTokens tokens_{"secret"};
};

TEST_F(ViewsTest, ShowsAnExperimentAndItsBestTrial) {
  FakeWorker& worker = cluster_.AddWorker("w1", 3);
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("sweep", LinearSearch(3, 2))), IsOk());
  ASSERT_THAT(cluster_.Report(worker, kAttempt1,
                              {"started { start_step: 0 }",
                               "evaluation { step: 5 metrics { key: 'val/top1' value: 61 } }"}),
              IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const auto response, Get(&GetExperiment, "experiments/1"));
  const v1::Experiment& experiment = response.experiment();
  EXPECT_EQ(experiment.name(), "experiments/1");
  EXPECT_EQ(experiment.state(), v1::Experiment::STATE_ACTIVE);
  EXPECT_EQ(experiment.creator(), "tester");
  EXPECT_EQ(experiment.etag(), EtagOf(cluster_.journal.last_revision()));
  EXPECT_EQ(experiment.trials().running(), 2);
  EXPECT_EQ(experiment.trials().queued(), 1);
  EXPECT_EQ(experiment.best_trial(), "experiments/1/trials/1");
  EXPECT_EQ(experiment.best_value(), 61);
  EXPECT_EQ(experiment.plan_version(), plan::kPlanVersion);
  EXPECT_EQ(experiment.program_version(), "1.0");
  EXPECT_THAT(Get(&GetExperiment, "experiments/9"),
              StatusIs(absl::StatusCode::kNotFound, Reason("EXPERIMENT_NOT_FOUND")));
  EXPECT_THAT(Get(&GetExperiment, "experiments/../1"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME")));
}

TEST_F(ViewsTest, ShowsATrialWithAttemptsAndLiveProgress) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("plain", "priority: 9")), IsOk());
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  cluster_.Advance(absl::Seconds(2));
  CVT_ASSERT_OK_AND_ASSIGN(auto response, Get(&GetTrial, "experiments/1/trials/1"));
  EXPECT_EQ(response.trial().state(), v1::Trial::STATE_RUNNING);
  EXPECT_EQ(response.trial().progress().step(), 2);
  EXPECT_THAT(response.trial().workers(), ElementsAre("workers/w1"));
  EXPECT_EQ(response.trial().priority(), 9);
  EXPECT_EQ(response.trial().recipe().synthetic().steps(), 100);
  ASSERT_THAT(response.trial().attempts(), SizeIs(1));
  EXPECT_EQ(response.trial().attempts(0).cause(), v1::CAUSE_UNSPECIFIED);
  EXPECT_EQ(response.trial().attempts(0).placements(0).worker(), "workers/w1");
  ASSERT_THAT(cluster_.Report(worker, kAttempt1,
                              {"ended { cause: CAUSE_FINISHED end_step: 100 flops: 5e9 }"}),
              IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(response, Get(&GetTrial, "experiments/1/trials/1"));
  EXPECT_EQ(response.trial().progress().step(), 100) << "what was live ends with the attempt";
  EXPECT_EQ(response.trial().progress().flops(), 5e9);
  EXPECT_EQ(response.trial().attempts(0).cause(), v1::CAUSE_FINISHED);
}

TEST_F(ViewsTest, ShowsTheLastAndTheBestObjectiveAndWhetherATrialIsRanked) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("plain")), IsOk());
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(auto response, Get(&GetTrial, "experiments/1/trials/1"));
  EXPECT_FALSE(response.trial().ranked()) << "it has no objective yet";
  EXPECT_FALSE(response.trial().has_best_objective());
  ASSERT_THAT(cluster_.Report(worker, kAttempt1,
                              {"evaluation { step: 10 metrics { key: 'val/top1' value: 90 } }",
                               "evaluation { step: 20 metrics { key: 'val/top1' value: 85 } }"}),
              IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(response, Get(&GetTrial, "experiments/1/trials/1"));
  EXPECT_TRUE(response.trial().ranked());
  EXPECT_EQ(response.trial().best_objective(), 90);
  EXPECT_EQ(response.trial().last_objective(), 85);
  EXPECT_EQ(response.trial().objective(), 85) << "of a search that goes by the last";
  ASSERT_THAT(cluster_.Report(worker, kAttempt1, {"ended { cause: CAUSE_USER_ERROR }"}), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(response, Get(&GetTrial, "experiments/1/trials/1"));
  EXPECT_EQ(response.trial().state(), v1::Trial::STATE_FAILED);
  EXPECT_FALSE(response.trial().ranked());
}

TEST_F(ViewsTest, SaysWhyATrialWaits) {
  cluster_.AddWorker("w1", 2);
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("sweep", LinearSearch(3, 1))), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const auto response, Get(&GetTrial, "experiments/1/trials/2"));
  EXPECT_EQ(response.trial().reason(), "waiting: its experiment runs 1 of at most 1 trial");
}

TEST_F(ViewsTest, ShowsWorkersWithTheirSlots) {
  cluster_.AddWorker("w1", 2);
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("plain")), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(auto response, Get(&GetWorker, "workers/w1"));
  EXPECT_EQ(response.worker().state(), v1::Worker::STATE_READY);
  EXPECT_EQ(response.worker().slots(0).attempt(), kAttempt1);
  EXPECT_EQ(response.worker().slots(1).attempt(), "");
  EXPECT_TRUE(response.worker().has_renew_time());
  const v1::Cluster cluster = cluster_.Look([](const View& view) { return ClusterToProto(view); });
  EXPECT_EQ(cluster.workers(), 1);
  EXPECT_EQ(cluster.slots(), 2);
  EXPECT_EQ(cluster.slots_free(), 1);
  EXPECT_EQ(cluster.trials_running(), 1);
  cluster_.workers.at("w1").session = 0;
  cluster_.Advance(absl::Seconds(4));
  CVT_ASSERT_OK_AND_ASSIGN(response, Get(&GetWorker, "workers/w1"));
  EXPECT_EQ(response.worker().state(), v1::Worker::STATE_SUSPECT);
  cluster_.Advance(absl::Seconds(10));
  CVT_ASSERT_OK_AND_ASSIGN(response, Get(&GetWorker, "workers/w1"));
  EXPECT_EQ(response.worker().state(), v1::Worker::STATE_LOST);
  EXPECT_THAT(Get(&GetWorker, "workers/w2"),
              StatusIs(absl::StatusCode::kNotFound, Reason("WORKER_NOT_FOUND")));
}

TEST_F(ViewsTest, ShowsWhyACheckpointIsKept) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("plain")), IsOk());
  ASSERT_THAT(cluster_.Report(worker, kAttempt1,
                              {"evaluation { step: 10 metrics { key: 'val/top1' value: 61 } }"}),
              IsOk());
  ASSERT_THAT(cluster_.Save(worker, kAttempt1, 1, 10), IsOk());
  ASSERT_THAT(cluster_.Save(worker, kAttempt1, 2, 20), IsOk());
  v1::ListCheckpointsRequest request;
  for (const std::string parent : {"experiments/1/trials/1", "experiments/1", "experiments/-"}) {
    request.set_parent(parent);
    CVT_ASSERT_OK_AND_ASSIGN(const auto response, List(&ListCheckpoints, request));
    ASSERT_THAT(response.checkpoints(), SizeIs(2)) << parent;
    EXPECT_THAT(response.checkpoints(0).kept_as(), ElementsAre("best"));
    EXPECT_EQ(response.checkpoints(0).objective(), 61);
    EXPECT_EQ(response.checkpoints(0).trial(), "experiments/1/trials/1");
    EXPECT_THAT(response.checkpoints(1).kept_as(), ElementsAre("resume", "last"));
    EXPECT_FALSE(response.checkpoints(1).has_objective());
  }
  request.set_page_size(1);
  CVT_ASSERT_OK_AND_ASSIGN(auto page, List(&ListCheckpoints, request));
  request.set_page_token(page.next_page_token());
  CVT_ASSERT_OK_AND_ASSIGN(page, List(&ListCheckpoints, request));
  EXPECT_EQ(page.checkpoints(0).step(), 20);
  EXPECT_EQ(page.next_page_token(), "");
  const std::string name = "checkpoints/" + StateDriver::Checkpoint(1);
  EXPECT_THAT(Get(&GetCheckpoint, name), IsOk());
  EXPECT_THAT(Get(&GetCheckpoint, "checkpoints/" + StateDriver::Checkpoint(9)),
              StatusIs(absl::StatusCode::kNotFound, Reason("CHECKPOINT_NOT_FOUND")));
}

TEST_F(ViewsTest, ListsWhatWasImportedByName) {
  for (const int n : {3, 1, 2}) {
    cluster_.Post("", "", [n](const ClusterState& state, absl::Time now) {
      return DecideImportCheckpoint(state, StateDriver::ImportHeader(n), now);
    });
  }
  cluster_.Turn();
  v1::ListCheckpointsRequest request;
  request.set_parent("imported");
  request.set_page_size(2);
  std::vector<std::string> names;
  do {
    CVT_ASSERT_OK_AND_ASSIGN(const auto page, List(&ListCheckpoints, request));
    for (const v1::Checkpoint& one : page.checkpoints()) {
      names.push_back(one.name());
      EXPECT_EQ(one.label(), "resnet18.safetensors");
      EXPECT_THAT(one.kept_as(), ElementsAre("imported"));
      EXPECT_EQ(one.trial(), "");
      EXPECT_EQ(one.size_bytes(), 2000);
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("checkpoints/" + StateDriver::Checkpoint(1),
                                 "checkpoints/" + StateDriver::Checkpoint(2),
                                 "checkpoints/" + StateDriver::Checkpoint(3)));
  request.set_parent("experiments/-");
  request.clear_page_size();
  CVT_ASSERT_OK_AND_ASSIGN(const auto made, List(&ListCheckpoints, request));
  EXPECT_EQ(made.checkpoints_size(), 0);
  EXPECT_THAT(Get(&GetCheckpoint, names[0]), IsOk());
}

TEST_F(ViewsTest, PagesThroughTrialsWithoutGapOrRepetition) {
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("one", LinearSearch(5, 2))), IsOk());
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("two", LinearSearch(4, 2))), IsOk());
  v1::ListTrialsRequest request;
  request.set_parent("experiments/-");
  request.set_page_size(4);
  std::vector<std::string> names;
  do {
    CVT_ASSERT_OK_AND_ASSIGN(const auto response, List(&ListTrials, request));
    EXPECT_LE(response.trials_size(), 4);
    for (const v1::Trial& trial : response.trials()) names.push_back(trial.name());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  ASSERT_THAT(names, SizeIs(9));
  EXPECT_EQ(names[4], "experiments/1/trials/5");
  EXPECT_EQ(names[5], "experiments/2/trials/1");
  request.set_parent("experiments/2");
  request.set_page_size(0);
  CVT_ASSERT_OK_AND_ASSIGN(const auto response, List(&ListTrials, request));
  EXPECT_THAT(response.trials(), SizeIs(4));
  EXPECT_EQ(response.next_page_token(), "");
  EXPECT_FALSE(response.trials(0).has_recipe()) << "only in GetTrial";
  request.add_states(v1::Trial::STATE_RUNNING);
  CVT_ASSERT_OK_AND_ASSIGN(const auto running, List(&ListTrials, request));
  EXPECT_THAT(running.trials(), IsEmpty());
}

TEST_F(ViewsTest, RefusesTokensOfAnotherListOrCaller) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(cluster_.Submit(SyntheticSpec(absl::StrCat("e", i))), IsOk());
  }
  const auto bad = StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_PAGE_TOKEN"));
  v1::ListExperimentsRequest request;
  request.set_page_size(1);
  CVT_ASSERT_OK_AND_ASSIGN(auto response, List(&ListExperiments, request));
  ASSERT_THAT(response.experiments(), SizeIs(1));
  EXPECT_EQ(response.experiments(0).name(), "experiments/3") << "newest first";
  request.set_page_token(response.next_page_token());
  EXPECT_THAT(List(&ListExperiments, request, "bob"), bad);
  request.set_project("other");
  EXPECT_THAT(List(&ListExperiments, request), bad);
  request.clear_project();
  request.set_page_size(2);  // may change from page to page
  CVT_ASSERT_OK_AND_ASSIGN(response, List(&ListExperiments, request));
  EXPECT_THAT(response.experiments(), SizeIs(2));
  EXPECT_EQ(response.next_page_token(), "");
  request.set_page_token("forged");
  EXPECT_THAT(List(&ListExperiments, request), bad);
  request.clear_page_token();
  request.set_page_size(-1);
  EXPECT_THAT(List(&ListExperiments, request),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(ViewsTest, EndsAPageBeforeItOutgrowsAMessage) {
  // Each resolved specification holds a description of 1 KiB and 32 labels of 60 bytes each.
  v1::ExperimentSpec spec = SyntheticSpec("e");
  spec.set_description(std::string(1000, 'd'));
  for (int i = 0; i < 32; ++i)
    (*spec.mutable_labels())[absl::StrCat("k", i)] = std::string(60, 'v');
  for (int i = 0; i < 1200; ++i) {
    spec.set_name(absl::StrCat("e", i));
    cluster_.PostSpec(spec, "");
    if (i % 500 == 0) cluster_.Turn();
  }
  cluster_.Turn();
  v1::ListExperimentsRequest request;
  request.set_page_size(1000);
  CVT_ASSERT_OK_AND_ASSIGN(const auto response, List(&ListExperiments, request));
  EXPECT_LT(response.experiments_size(), 1000);
  EXPECT_LT(response.ByteSizeLong(), limits::kMessageSizeBytesMax);
  EXPECT_NE(response.next_page_token(), "");
}

TEST_F(ViewsTest, ListsDataSetsAndTheirVersions) {
  v1::CommitDatasetVersionRequest commit;
  commit.set_dataset("trash");
  commit.mutable_version()->add_classes("glass");
  commit.mutable_version()->set_media(v1::DatasetVersion::MEDIA_AUDIO);
  commit.mutable_version()->set_boxes(3);
  commit.mutable_version()->set_masks(2);
  commit.mutable_version()->add_rung_size_bytes(10);
  commit.mutable_version()->add_short_sides()->set_images(2);
  commit.mutable_version()->set_format("audio_folder");
  v1::Split& split = *commit.mutable_version()->add_splits();
  split.set_name("train");
  split.set_images(2);
  split.add_class_images(2);
  v1::Shard& shard = *commit.mutable_version()->add_shards();
  shard.set_split("train");
  shard.set_images(2);
  shard.set_size_bytes(10);
  shard.set_digest(std::string(64, 'e'));
  for (const char digest : {'a', 'b'}) {
    commit.mutable_version()->set_digest(std::string(64, digest));
    auto answer = cluster_.Post("", "", [commit](const ClusterState& state, absl::Time now) {
      return DecideCommitDataset(state, commit, now);
    });
    cluster_.Turn();
    ASSERT_THAT(**answer, IsOk());
  }
  CVT_ASSERT_OK_AND_ASSIGN(const auto dataset, Get(&GetDataset, "datasets/trash"));
  EXPECT_EQ(dataset.dataset().version_count(), 2);
  EXPECT_EQ(dataset.dataset().newest().name(), "datasets/trash/versions/2");
  v1::DatasetVersion in_full = commit.version();
  in_full.clear_shards();
  in_full.set_name("datasets/trash/versions/2");
  *in_full.mutable_create_time() = dataset.dataset().newest().create_time();
  EXPECT_THAT(dataset.dataset().newest(), EqualsProto(in_full)) << "all but the shards";
  CVT_ASSERT_OK_AND_ASSIGN(const auto version,
                           Get(&GetDatasetVersion, "datasets/trash/versions/0"));
  EXPECT_EQ(version.version().name(), "datasets/trash/versions/2");
  EXPECT_THAT(version.version().shards(), SizeIs(1));
  v1::ListDatasetVersionsRequest request;
  request.set_parent("datasets/trash");
  request.set_page_size(1);
  CVT_ASSERT_OK_AND_ASSIGN(auto page, List(&ListDatasetVersions, request));
  EXPECT_EQ(page.versions(0).name(), "datasets/trash/versions/2");
  EXPECT_THAT(page.versions(0).shards(), IsEmpty());
  request.set_page_token(page.next_page_token());
  CVT_ASSERT_OK_AND_ASSIGN(page, List(&ListDatasetVersions, request));
  EXPECT_EQ(page.versions(0).name(), "datasets/trash/versions/1");
  CVT_ASSERT_OK_AND_ASSIGN(const auto datasets, List(&ListDatasets, v1::ListDatasetsRequest()));
  EXPECT_THAT(datasets.datasets(), SizeIs(1));
  EXPECT_THAT(Get(&GetDataset, "datasets/trsh"),
              StatusIs(absl::StatusCode::kNotFound, Reason("DATASET_NOT_FOUND")));
  EXPECT_THAT(Get(&GetDatasetVersion, "datasets/trash/versions/3"),
              StatusIs(absl::StatusCode::kNotFound, Reason("DATASET_NOT_FOUND")));
}

TEST_F(ViewsTest, PreviewsAnExperimentAndStoresNothing) {
  v1::PreviewExperimentRequest request;
  *request.mutable_spec() = SyntheticSpec("sweep", LinearSearch(200, 2));
  StagesToPlan stages;
  const auto look = [&] {
    return cluster_.Look(
        [&](const View& view) { return PreviewExperiment(view, request, stages); });
  };
  const auto preview = look();
  ASSERT_THAT(preview, IsOk());
  EXPECT_EQ(preview->trial_count(), 200);
  EXPECT_THAT(preview->trials(), SizeIs(100));
  EXPECT_EQ(preview->trials(1).parameters().at("recipe.synthetic.final_metric"), "2");
  EXPECT_EQ(stages.recipe.synthetic().steps(), 100);
  EXPECT_EQ(preview->spec().priority(), 50);
  EXPECT_EQ(cluster_.journal.last_revision(), 0);
  request.mutable_spec()->set_name("../x");
  EXPECT_THAT(look(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ViewsTest, ShowsTheLineageOfATrial) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  ASSERT_THAT(cluster_.Submit(SyntheticSpec("plain")), IsOk());
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  ASSERT_THAT(cluster_.Save(worker, kAttempt1, 1, 10), IsOk());
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "INTERNAL"), IsOk());
  ASSERT_THAT(cluster_.Begin(worker, "experiments/1/trials/1/attempts/2"), IsOk());
  const std::vector<LineageSegment> lineage = LineageOf(cluster_.Trial(1, 1));
  ASSERT_THAT(lineage, SizeIs(2));
  EXPECT_EQ(lineage[0].from_step, 0);
  EXPECT_EQ(lineage[1].attempt, 2);
  EXPECT_EQ(lineage[1].from_step, 10);
}

}  // namespace
}  // namespace cvtrain::coordinator
