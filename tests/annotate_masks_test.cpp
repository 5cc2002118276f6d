// The server of `annotate` with a teacher: its masks on the page, in the file and on the disk.
#include <doctest/doctest.h>

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "apps/iml/datasets.h"
#include "apps/iml/masks.h"
#include "engine/ops.h"
#include "tests/annotate_case.h"
#include "tests/errors.h"
#include "weights/load.h"
#include "weights/procedural.h"

using namespace bp;
using namespace bp::annotate;
using namespace bp::annotate::testing;
using bp::test::Answer;
using bp::test::Connection;

namespace {

Rle rle_of_json(const Json& mask) {
  return {mask["size"][0], mask["size"][1], mask["counts"].get<std::vector<std::uint32_t>>()};
}

double iou_of(const Rle& a, const Rle& b) {
  return mask_iou(mask_of(a), mask_of(b));
}

}  // namespace

TEST_CASE("the teacher's masks: at once on the page, at full size in the file, and read by the trainer") {
  TempFolder temp;
  Tensor image = zeros({900, 1500, 3}, DType::u8);
  for (i64 i = 0; i < image.numel(); ++i)
    image.data<u8>()[i] = static_cast<u8>((i / 4500 / 60 + i % 4500 / 300) * 40 + i % 7);
  save_png(temp / "x.png", image);
  temp.write("damaged.png", "no pixels");  // comes first, and must not be in the way
  temp.write("weights", "stands for the weights");
  sam::Sam net("vit_t");
  load(net.params(), ProceduralSource("annotate"));
  net.prepare();
  const ProjectOptions options{
      temp.path,
      false,
      {},
      &net,
      {(temp / "weights").string(), temp / "cache", 512u << 20, std::uintmax_t{4} << 30, 0}};
  Json box = kBox;
  box["box"] = {400, 250, 900, 600};
  box["points"] = {{{"x", 500}, {"y", 300}, {"positive", true}}};
  box["choice"] = 1;

  sam::Predictor predictor(net);
  predictor.set_image(image);
  const sam::Masks wanted = predictor.predict({.boxes = {{400, 250, 900, 600}},
                                               .points = {{{500, 300, true}}},
                                               .mask = {},
                                               .wanted = sam::MaskSet::all});
  const auto full_size = [&](i64 k) {
    const Tensor logits = predictor.at_original_size(wanted.logits[0][k]);
    Tensor mask = zeros({900, 1500}, DType::u8);
    for (i64 i = 0; i < mask.numel(); ++i) mask.data<u8>()[i] = logits.data<float>()[i] > 0;
    return rle_of(mask);
  };
  const auto until = [](const auto& done) {
    while (!done()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };

  Json first;
  {
    const Running r(options);
    CHECK(r.client.get("/api/project").json()["teacher"] == "sam_vit_t");
    const Connection events(r.client.port);
    events.send("GET /api/events HTTP/1.1\r\nHost: " + r.client.host() + "\r\n\r\n");
    events.receive("still here");
    const Answer early = r.client.post("/api/images/1/mask", box);  // nobody has asked for the embedding yet
    CHECK(early.status == 202);
    // Saved before there is an embedding: the mask follows.
    CHECK(r.client.put("/api/images/1", with_box(0, box)).status == 200);
    CHECK(mentions(events.receive("\"ready\""), "{\"embedding\":\"ready\",\"image\":1}"));
    // Its turn may come only now that it is asked for; then it fails.
    until([&] { return r.client.get("/api/images/0/embedding").json()["state"] == "none"; });
    CHECK(r.client.get("/api/images/1/embedding").json()["state"] == "ready");

    const Answer answer = r.client.post("/api/images/1/mask", box);
    REQUIRE(answer.status == 200);
    first = answer.json()["choices"];
    REQUIRE(first.size() == 4);
    for (i64 k = 0; k < 4; ++k) {
      const Json& choice = first[static_cast<std::size_t>(k)];
      CHECK(choice["iou"].get<double>() == doctest::Approx(wanted.iou[0][k].item()).epsilon(0.001));
      const Rle got = rle_of_json(choice["mask"]);
      CHECK(got.height == 614);
      CHECK(got.width == 1024);
      // Noise has frayed borders, which no two resolutions share; the other masks are further away.
      const double agreement = iou_of(got, shrunk(full_size(k), 614, 1024));
      CHECK(agreement > 0.85);
      for (i64 other = 0; other < 4; ++other)
        if (other != k) CHECK(agreement > iou_of(got, shrunk(full_size(other), 614, 1024)));
    }
    const auto file = [&] { return Json::parse(read_file(temp / "annotations.json")); };
    until([&] { return file()["annotations"][0]["segmentation"].is_object(); });
    const Json stored = file()["annotations"][0];
    CHECK(stored["segmentation"]["size"] == Json{900, 1500});
    CHECK(stored["segmentation"]["counts"] ==
          compressed(full_size(2)));  // choice 1 is the second of the three
    CHECK(stored["area"] == area_of(full_size(2)));
    CHECK(stored["predicted_iou"] == first[2]["iou"]);
    const Json shown = r.client.get("/api/images/1").json();
    CHECK(shown["version"] == 1);
    CHECK(iou_of(rle_of_json(shown["boxes"][0]["mask"]), rle_of_json(first[2]["mask"])) > 0.85);
    // Time is saved, the mask stays.
    CHECK(r.client.put("/api/images/1", with_box(1, box, 20)).status == 200);
    CHECK(file()["annotations"][0]["segmentation"] == stored["segmentation"]);
  }
  const auto sets = open_datasets(temp / "annotations.json");
  REQUIRE(sets.at(0).samples.size() == 1);
  CHECK(sets[0].samples[0].image == temp / "x.png");
  CHECK(rle_of(load_truth(sets[0].samples[0])).counts == full_size(2).counts);

  // The next run finds the embedding on the disk, and gives the same masks. A damaged one is made anew.
  std::vector<fs::path> kept;
  for (const auto& e : fs::directory_iterator(temp / "cache")) kept.push_back(e.path());
  REQUIRE(kept.size() == 1);
  const auto inode = [&] {
    struct stat status {};
    REQUIRE(::stat(kept[0].c_str(), &status) == 0);
    return status.st_ino;
  };
  const auto before = inode();
  const auto masks = [&](DType dtype = DType::f32) {
    ProjectOptions those = options;
    those.embeddings.dtype = dtype;
    const Running r(those);
    Answer answer;
    until([&] { return (answer = r.client.post("/api/images/1/mask", box)).status == 200; });
    return answer.json()["choices"];
  };
  const auto bytes = read_file(kept[0]);
  CHECK(masks() == first);
  CHECK(inode() == before);  // read, not written anew
  std::ofstream(kept[0]) << "damaged";
  CHECK(masks() == first);
  CHECK(read_file(kept[0]) == bytes);
  // What another type computed is not taken for it.
  masks(DType::bf16);
  CHECK(std::distance(fs::directory_iterator(temp / "cache"), fs::directory_iterator()) == 2);
  CHECK(read_file(kept[0]) == bytes);
}
