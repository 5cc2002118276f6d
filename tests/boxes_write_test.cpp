// Annotation formats in every direction, and run lengths.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/iml/boxes_write.h"
#include "apps/iml/datasets.h"
#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "apps/iml/rle.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

struct Outcome {
  int code;
  std::string error;
};

Outcome convert(const TempFolder& temp, const std::string& arguments) {
  const int status = std::system((std::string("cd ") + temp.path.string() + " && " + BOXPROMPT_BINARY +
                                  " boxes convert " + arguments + " >stdout 2>stderr")
                                     .c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(temp / "stderr")};
}

// Images with names that are hard to write, and their boxes.
BoxSet plant(const TempFolder& temp) {
  fs::create_directories(temp / "photos/sub");
  const std::vector<std::pair<std::string, std::vector<Box>>> entries{
      {"a, \"b\" & <c>.png", {{1.25, 2.5, 30.125, 20, "face"}, {0, 0, 60, 40, "sky, blue \"<&>\""}}},
      {"authentic.png", {}},
      {"sub/\xC3\xA4.v2.png", {{10.0 / 3, 7, 59.9, 39.75, "face"}}}};
  BoxSet set{"made up", BoxFormat::coco, {}};
  for (const auto& [name, boxes] : entries) {
    save_png(temp / "photos" / name, full({40, 60, 3}, 9, DType::u8));
    set.images.push_back({name, "made up", 60, 40, boxes});
  }
  return set;
}

void check_same(const BoxSet& wanted, const BoxSet& got, bool labels) {
  REQUIRE(got.images.size() == wanted.images.size());
  for (const ImageBoxes& image : wanted.images) {
    const auto found = std::find_if(got.images.begin(), got.images.end(),
                                    [&](const ImageBoxes& g) { return g.image == image.image; });
    CAPTURE(image.image);
    REQUIRE(found != got.images.end());
    REQUIRE(found->boxes.size() == image.boxes.size());
    for (std::size_t b = 0; b < image.boxes.size(); ++b) {
      const Box &x = image.boxes[b], &y = found->boxes[b];
      for (const double d : {x.x0 - y.x0, x.y0 - y.y0, x.x1 - y.x1, x.y1 - y.y1}) CHECK(std::fabs(d) < 1e-6);
      if (labels) CHECK(x.label == y.label);
    }
  }
}

}  // namespace

TEST_CASE("from every format to every format, and back to COCO: the same boxes of the same images") {
  const TempFolder temp;
  const BoxSet set = plant(temp);
  save_boxes(set, BoxFormat::coco, temp / "begin.json");
  check_same(set, load_boxes(temp / "begin.json"), true);
  for (const auto& [a, format_a] : box_formats()) {
    CAPTURE(a);
    const std::string first = "a-" + a;
    REQUIRE(convert(temp, "begin.json " + first + " --to " + a).code == 0);
    for (const auto& [b, format_b] : box_formats()) {
      CAPTURE(b);
      const std::string second = "b-" + a + "-" + b;
      const Outcome o = convert(temp, first + " " + second + " --images photos --to " + b);
      CAPTURE(o.error);
      REQUIRE(o.code == 0);
      const BoxSet read = load_boxes(temp / second);
      CHECK(read.format == format_b);
      REQUIRE(convert(temp, second + " end.json --images photos").code == 0);
      const bool labels = format_a != BoxFormat::yolo && format_b != BoxFormat::yolo;  // YOLO has numbers
      check_same(set, load_boxes(temp / "end.json"), labels);
    }
  }
  CHECK(read_file(temp / "a-yolo/classes.txt") == "face\nsky, blue \"<&>\"\n");
}

TEST_CASE("what cannot be converted says why") {
  const TempFolder temp;
  plant(temp);
  temp.write("x.csv", "image,x0,y0,x1,y1\na.png,1,2,3,4\n");
  temp.write("labels/a.txt", "0 0.5 0.5 0.1 0.1\n");
  temp.write("twins.csv", "image,x0,y0,x1,y1\na.png,1,2,3,4\na.jpg,1,2,3,4\n");
  temp.write("bad.csv", "image,x0,y0,x1,y1\na.png,5,2,3,4\n");
  const auto refused = [&](const std::string& arguments, int code, const char* why) {
    CAPTURE(arguments);
    const Outcome o = convert(temp, arguments);
    CAPTURE(o.error);
    CHECK(o.code == code);
    CHECK(mentions(o.error, why));
    CHECK(std::count(o.error.begin(), o.error.end(), '\n') <= 4);
  };
  refused("x.csv out", 1, "--to");
  refused("x.csv out --to toml", 2, "toml");
  refused("x.csv out --to yolo", 1, "--images");
  refused("labels out.json", 1, "--images");
  refused("x.csv out.json --images photos", 1, "none of its images");
  refused("twins.csv out --to labelme", 1, "would share");
  refused("bad.csv out.json", 1, "is no box");
  refused("missing.csv out.json", 1, "no such file");
  CHECK_FALSE(fs::exists(temp / "out.json"));
  CHECK_FALSE(fs::exists(temp / "out"));
}

TEST_CASE("run lengths: COCO's own text, any mask and back, damage is refused") {
  // pycocotools.mask.encode of [[0,1,1],[1,1,0]] (column-major 0 1 1 1 1 0) is {'size': [2, 3], 'counts':
  // b'141'}.
  const Tensor small = zeros({2, 3}, DType::u8);
  for (const i64 i : {1, 2, 3, 4}) small.data<u8>()[i] = 255;
  CHECK(rle_of(small).counts == std::vector<std::uint32_t>{1, 4, 1});
  CHECK(compressed(rle_of(small)) == "141");
  CHECK(compressed({1, 1000, {0, 1000}}) == "0Xo0");

  std::uint32_t state = 1;
  const auto random = [&] { return (state = state * 1664525u + 1013904223u) >> 16; };
  for (const auto& [h, w] : {std::pair<i64, i64>{1, 1}, {1, 50}, {50, 1}, {37, 23}, {200, 301}})
    for (const unsigned share : {0u, 1u, 50u, 99u, 100u}) {
      const Tensor mask = zeros({h, w}, DType::u8);
      for (i64 i = 0; i < mask.numel(); ++i) mask.data<u8>()[i] = random() % 100 < share ? 255 : 0;
      const Rle rle = rle_of(mask);
      CHECK(mask_iou(mask_of(rle), mask) == 1);
      CHECK(area_of(rle) == mask_area(mask));
      CHECK(rle_from_text(compressed(rle), h, w).counts == rle.counts);
      CHECK(shrunk(rle, h, w).counts == rle.counts);
      const i64 sh = (h + 2) / 3, sw = (w + 1) / 2;
      const Tensor nearest = zeros({sh, sw}, DType::u8);
      for (i64 y = 0; y < sh; ++y)
        for (i64 x = 0; x < sw; ++x)
          nearest.data<u8>()[y * sw + x] =
              mask.data<u8>()[(2 * y + 1) * h / (2 * sh) * w + (2 * x + 1) * w / (2 * sw)];
      CHECK(shrunk(rle, sh, sw).counts == rle_of(nearest).counts);
    }
  for (const char* text : {"", "1", "141 ", "14", "1411", "P", "PPPPPPPPPPPPPPPPP1", "1O1", "\x80"}) {
    CAPTURE(text);
    CHECK(error_of([&] { rle_from_text(text, 2, 3); }) != "");
  }
  CHECK(error_of([&] { rle_from_text("141", 1 << 20, 1 << 20); }) != "");
  CHECK(error_of([&] { mask_of({2, 3, {7}}); }) != "");
}

TEST_CASE("COCO with run lengths is a data set: masks united, images without annotation authentic") {
  const TempFolder temp;
  temp.write("set.json",
             R"({"images": [{"id": 1, "file_name": "x/a.png"}, {"id": "two", "file_name": "b.png"},
    {"id": 3, "file_name": "c.png"}], "annotations": [
    {"image_id": 1, "bbox": [0,0,1,1], "segmentation": {"size": [2, 3], "counts": "141"}},
    {"image_id": 1, "bbox": [0,0,1,1], "segmentation": {"size": [2, 3], "counts": [5, 1]}},
    {"image_id": 3, "bbox": [0,0,1,1], "segmentation": []}]})");
  const auto sets = open_datasets(temp / "set.json");
  REQUIRE(sets.size() == 1);
  REQUIRE(sets[0].samples.size() == 2);
  CHECK(sets[0].samples[0].image == temp / "x/a.png");
  CHECK(rle_of(load_truth(sets[0].samples[0])).counts == std::vector<std::uint32_t>{1, 5});
  CHECK(sets[0].samples[1].key == "b.png");
  CHECK(sets[0].samples[1].authentic());
  REQUIRE(sets[0].unpaired.size() == 1);
  CHECK(mentions(sets[0].unpaired[0], "c.png"));
  temp.write("bad.json", R"({"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2}]})");
  CHECK(mentions(error_of([&] { open_datasets(temp / "bad.json"); }), "image id 2"));
}

TEST_CASE("an image's size from its header is that of its pixels") {
  std::vector<fs::path> files;
  for (const char* folder : {"/apps/samples", "/tests/data"})
    for (const auto& e : fs::recursive_directory_iterator(BOXPROMPT_SOURCE_DIR + std::string(folder)))
      if (has_image_extension(e.path())) files.push_back(e.path());
  std::size_t read = 0;
  for (const fs::path& file : files) {
    CAPTURE(file.string());
    Tensor image;
    try {
      image = load_image(file);
    } catch (const Error&) {
      continue;  // made to be damaged
    }
    const ImageSize size = image_size(file);
    CHECK(size.width == image.dim(1));
    CHECK(size.height == image.dim(0));
    ++read;
  }
  CHECK(read >= 4);
}
