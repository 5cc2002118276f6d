// Boxes out of every annotation format, their matching to images and their checks, and boxes from masks.
#include "apps/iml/boxes.h"

#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

// Two boxes of one image and none of another, in each format; all say the same.
const char* kCoco = R"({
  "images": [{"id": 7, "file_name": "sub/a.jpg", "width": 100, "height": 80}, {"id": 9, "file_name": "b.png"}],
  "categories": [{"id": 1, "name": "pasted, \"sky\""}],
  "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 30.5, 40]},
                  {"id": 2, "image_id": 7, "category_id": 5, "bbox": [0, 0, 5, 6]}]})";
const char* kLabelMe =
    R"({"version": "5.0", "imagePath": "..\\sub\\a.jpg", "imageWidth": 100, "imageHeight": 80,
  "shapes": [{"label": "pasted, \"sky\"", "shape_type": "rectangle", "points": [[40.5, 60], [10, 20]]},
             {"label": "", "shape_type": "polygon", "points": [[0, 2], [5, 0], [3, 6]]}]})";
const char* kCvat = R"(<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
  <image id="0" name="sub/a.jpg" width="100" height="80">
    <box label="pasted, &quot;sky&quot;" xtl="10" ytl="20" xbr="40.5" ybr="60" occluded="0"/>
    <polygon label="" points="0,2;5,0;3,6"/><tag label="outdoor"/>
  </image>
  <image id="1" name="b.png" width="50" height="50"/>
</annotations>)";
const char* kViaCsv =
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\r\n"
    "sub/"
    "a.jpg,1,\"{}\",2,0,\"{\"\"name\"\":\"\"rect\"\",\"\"x\"\":10,\"\"y\"\":20,\"\"width\"\":30.5,"
    "\"\"height\"\":40}\","
    "\"{\"\"what\"\":\"\"pasted, \\\"\"sky\\\"\"\"\"}\"\r\n"
    "sub/"
    "a.jpg,1,\"{}\",2,1,\"{\"\"name\"\":\"\"polygon\"\",\"\"all_points_x\"\":[0,5,3],\"\"all_points_y\"\":[2,"
    "0,6]}\",{}\r\n"
    "b.png,1,\"{}\",0,0,\"{}\",\"{}\"\r\n";
const char* kViaJson = R"({"_via_settings": {}, "_via_img_metadata": {
  "a.jpg1": {"filename": "sub/a.jpg", "size": 1, "file_attributes": {}, "regions": [
    {"shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 30.5, "height": 40},
     "region_attributes": {"what": "pasted, \"sky\""}},
    {"shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 5, "height": 6}, "region_attributes": {}}]},
  "b.png1": {"filename": "b.png", "size": 1, "regions": []}}})";
const char* kViaOne = R"({"a.jpg1": {"filename": "sub/a.jpg", "regions": {
    "0": {"shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 30.5, "height": 40},
          "region_attributes": {"what": "pasted, \"sky\""}},
    "1": {"shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 5, "height": 6}}}},
  "b.png1": {"filename": "b.png", "regions": {}}})";
const char* kCsv =
    "sub/a.jpg,10,20,40.5,60,\"pasted, \"\"sky\"\"\"\n"
    "sub/a.jpg,0,0,5,6\n"
    "b.png,,,,\n";
const char* kCsvHeader =
    "width,filename,class,xmin,ymin,xmax,ymax\r\n"
    "100,sub\\a.jpg,\"pasted, \"\"sky\"\"\",10,20,40.5,60\r\n"
    "100,sub\\a.jpg,,0,0,5,6\r\n"
    "50,b.png,,,,,\r\n";
const char* kYolo = "1 0.2525 0.5 0.305 0.5 0.9\n2 0.025 0.0375 0.05 0.075\r\n";  // of 100 x 80

void check_box(const Box& b, double x0, double y0, double x1, double y1) {
  CHECK(b.x0 == doctest::Approx(x0));
  CHECK(b.y0 == doctest::Approx(y0));
  CHECK(b.x1 == doctest::Approx(x1));
  CHECK(b.y1 == doctest::Approx(y1));
}

ImageFile image(const std::string& key) {
  return {key, key};
}

Tensor mask_of(const std::vector<std::string>& rows) {
  Tensor mask = empty({static_cast<i64>(rows.size()), static_cast<i64>(rows[0].size())}, DType::u8);
  u8* m = mask.data<u8>();
  for (const auto& row : rows)
    for (const char c : row) *m++ = c == '#' ? 255 : 0;
  return mask;
}

}  // namespace

TEST_CASE("every format of one file gives the same boxes") {
  const TempFolder temp;
  struct Case {
    const char *name, *bytes;
    BoxFormat format;
    bool states_size;
  };
  for (const Case& c : {Case{"coco.json", kCoco, BoxFormat::coco, true},
                        {"a.json", kLabelMe, BoxFormat::labelme, true},
                        {"cvat.xml", kCvat, BoxFormat::cvat, true},
                        {"via.csv", kViaCsv, BoxFormat::via_csv, false},
                        {"via.json", kViaJson, BoxFormat::via_json, false},
                        {"via1.json", kViaOne, BoxFormat::via_json, false},
                        {"b.csv", kCsv, BoxFormat::csv, false},
                        {"list.txt", kCsv, BoxFormat::csv, false},
                        {"h.csv", kCsvHeader, BoxFormat::csv, false}}) {
    CAPTURE(c.name);
    for (const std::string bom : {"", "\xEF\xBB\xBF"}) {
      const BoxSet set = load_boxes(temp.write(c.name, bom + c.bytes));
      CHECK(set.format == c.format);
      REQUIRE(set.images.size() == (c.format == BoxFormat::labelme ? 1 : 2));
      CHECK(set.images[0].image == "sub/a.jpg");
      CHECK(set.images[0].width == (c.states_size ? 100 : 0));
      REQUIRE(set.images[0].boxes.size() == 2);
      check_box(set.images[0].boxes[0], 10, 20, 40.5, 60);
      check_box(set.images[0].boxes[1], 0, 0, 5, 6);
      CHECK(set.images[0].boxes[0].label == "pasted, \"sky\"");
      CHECK(set.images[0].boxes[1].label.empty());
      if (c.format == BoxFormat::labelme) continue;
      CHECK(set.images[1].image == "b.png");
      CHECK(set.images[1].boxes.empty());
    }
  }
}

TEST_CASE("YOLO boxes become pixels with the size of the image") {
  const TempFolder temp;
  temp.write("labels/sub/a.txt", kYolo);
  temp.write("labels/b.v2.txt", "");
  temp.write("labels/c.txt", "0 0.1 0.1 0.5 0.2 0.3 0.9\n");  // a polygon
  temp.write("labels/classes.txt", "sky\nperson\n");
  const BoxSet set = load_boxes(temp / "labels");
  CHECK(set.format == BoxFormat::yolo);
  REQUIRE(set.images.size() == 3);
  const std::vector<ImageFile> images{image("sub/a.jpg"), image("b.v2.png"), image("c.tif")};
  const BoxMatches matches = match_boxes(set, images);
  CHECK(matches.missing.empty());
  std::vector<std::string> notes;
  REQUIRE(matches.entries[0]);
  const auto boxes = boxes_in_image(set, *matches.entries[0], 100, 80, notes);
  REQUIRE(boxes.size() == 2);
  check_box(boxes[0], 10, 20, 40.5, 60);
  check_box(boxes[1], 0, 0, 5, 6);
  CHECK(boxes[0].label == "1");
  REQUIRE(matches.entries[1]);
  CHECK(boxes_in_image(set, *matches.entries[1], 10, 10, notes).empty());
  REQUIRE(matches.entries[2]);
  check_box(boxes_in_image(set, *matches.entries[2], 10, 100, notes)[0], 1, 10, 5, 90);
  CHECK(notes.empty());
}

TEST_CASE("a folder of LabelMe files names images relative to each file") {
  const TempFolder temp;
  temp.write("x/a.json", R"({"imagePath": "a.jpg", "shapes": []})");
  temp.write("y/a.json", R"({"imagePath": "a.jpg", "shapes": []})");
  const BoxSet set = load_boxes(temp.path);
  REQUIRE(set.images.size() == 2);
  CHECK(set.images[0].image == "x/a.jpg");
  CHECK(set.images[1].image == "y/a.jpg");
  temp.write("z/coco.json", kCoco);
  CHECK(mentions(error_of([&] { load_boxes(temp.path); }), "coco.json: is COCO json, wanted LabelMe json"));
  temp.write("z/a.txt", "0 0.5 0.5 1 1");
  CHECK(mentions(error_of([&] { load_boxes(temp.path); }), "3 json and 1 txt"));
}

TEST_CASE("entries meet images by path, then file name, then stem; what is unclear is told") {
  BoxSet set{"boxes.csv", BoxFormat::csv, {}};
  for (const char* name :
       {"train/a.jpg", "test/a.jpg", "b.jpg", "images/c.png", "gone.jpg", "d.jpg", "e.png"})
    set.images.push_back({name, "boxes.csv", 0, 0, {}});
  const std::vector<ImageFile> images{image("train/a.jpg"), image("other/a.jpg"), image("x/y/b.jpg"),
                                      image("c.jpg"),       image("d.png"),       image("d.jpg"),
                                      image("1/e.png"),     image("2/e.png"),     image("data/test/a.jpg"),
                                      image("nobody.jpg")};
  const BoxMatches m = match_boxes(set, images);
  CHECK(m.entries[0] == &set.images[0]);
  CHECK(m.entries[1] == nullptr);  // either a.jpg would do
  CHECK(m.entries[2] == &set.images[2]);
  CHECK(m.entries[3] == &set.images[3]);  // by stem
  CHECK(m.entries[4] == nullptr);         // d.jpg is meant
  CHECK(m.entries[5] == &set.images[5]);
  CHECK(m.entries[6] == nullptr);         // e.png could be either
  CHECK(m.entries[8] == &set.images[1]);  // more folders in common
  CHECK(m.missing == std::vector<std::string>{"gone.jpg"});
  CHECK(m.without_boxes == std::vector<std::string>{"other/a.jpg", "d.png", "nobody.jpg"});
  CHECK(m.ambiguous ==
        std::vector<std::string>{"other/a.jpg: train/a.jpg, test/a.jpg", "e.png: 1/e.png, 2/e.png"});
}

TEST_CASE("boxes that cannot be meant are refused with file, image and box") {
  const TempFolder temp;
  std::vector<std::string> notes;
  const auto refused = [&](const std::string& corners, std::string_view reason) {
    const BoxSet set = load_boxes(temp.write("b.csv", "a.jpg,1,1,2,2\na.jpg," + corners + "\n"));
    const std::string message = error_of([&] { boxes_in_image(set, set.images[0], 100, 80, notes); });
    INFO(message);
    CHECK(mentions(message, "b.csv: a.jpg, box 2 ("));
    CHECK(mentions(message, reason));
  };
  refused("nan,2,3,4", "not a number");
  refused("1,2,inf,4", "not a number");
  refused("30,2,3,40", "inverted");
  refused("3,20,30,4", "inverted");
  refused("3,2,3,40", "empty");
  refused("100,2,120,40", "wholly outside the image of 100 x 80");
  refused("-20,2,0,40", "wholly outside");
  refused("1,80,10,90", "wholly outside");
  CHECK(notes.empty());

  const BoxSet set = load_boxes(temp.write("b.csv", "a.jpg,-3,10,200,80.25\n"));
  const auto boxes = boxes_in_image(set, set.images[0], 100, 80, notes);
  check_box(boxes.at(0), 0, 10, 100, 80);
  REQUIRE(notes.size() == 1);
  CHECK(mentions(notes[0], "clipped"));

  const BoxSet nan =
      load_boxes(temp.write("nan.json", R"({"images": [{"id": 1, "file_name": "NaN \"NaN.jpg"}],
      "annotations": [{"image_id": 1, "bbox": [NaN, 1, Infinity, -Infinity]}]})"));
  CHECK(nan.images.at(0).image == "NaN \"NaN.jpg");
  CHECK(mentions(error_of([&] { boxes_in_image(nan, nan.images[0], 10, 10, notes); }), "not a number"));

  const BoxSet coco = load_boxes(temp.write("coco.json", kCoco));
  CHECK(mentions(error_of([&] { boxes_in_image(coco, coco.images[0], 80, 100, notes); }),
                 "annotated at 100 x 80, the image is 80 x 100 (turned by its EXIF orientation?)"));
}

TEST_CASE("files that are not understood: one line with the place") {
  const TempFolder temp;
  const auto refused = [&](const char* name, std::string_view bytes, std::string_view reason) {
    const std::string message = error_of([&] { load_boxes(temp.write(name, bytes)); });
    INFO(message);
    CHECK(mentions(message, std::string(name) + ": "));
    CHECK(mentions(message, reason));
    CHECK(!mentions(message, "\n"));
  };
  refused("empty.csv", "", "is empty");
  refused("empty.json", "  \n", "is empty");
  refused("cut.json", R"({"images": [{"id")", "not valid JSON");
  refused("other.json", R"({"a": 1})", "neither COCO");
  refused("list.json", "[1, 2]", "neither COCO");
  refused("binary.csv", std::string_view("a\0b", 3), "not a text file");
  refused("c.json", R"({"images": [], "annotations": [{"image_id": 3, "bbox": [1,2,3,4]}]})", "image id 3");
  refused("d.json",
          R"({"images": [{"id": 3, "file_name": "a"}], "annotations": [{"image_id": 3, "bbox": [1,2,3]}]})",
          "annotation 1: bbox is not [x, y, width, height]");
  refused(
      "e.json",
      R"({"images": [{"id": 3, "file_name": "a"}], "annotations": [{"image_id": 3, "bbox": ["1",2,3,4]}]})",
      "annotation 1 is not a number");
  refused("f.json", R"({"shapes": [{"shape_type": "circle", "points": [[1,2],[3,4]]}]})",
          "shape 1 is a circle");
  refused("g.json", R"({"shapes": [{"shape_type": "rectangle", "points": [[1,2]]}]})",
          "1 points, wanted 2 corners");
  refused("h.json", R"({"shapes": [{"shape_type": 5, "points": [[1,2],[3,4]]}]})", "type must be string");
  refused("i.json", R"({"x": {"filename": "x", "regions": [{"shape_attributes": {"name": "circle"}}]}})",
          "circle");
  refused("a.xml", "<annotations><image name='a'>", "not valid XML");
  refused("b.xml", "<html></html>", "no <annotations>");
  refused("c.xml", "<annotations><track/></annotations>", "tracks of a video");
  refused("d.xml",
          "<annotations><image name='a'><box xtl='1' ytl='2' xbr='x' ybr='4'/></image></annotations>",
          "a, <box> 1: xbr is not a number");
  refused("e.xml", "<annotations><image name='a'><points points='1,2'/></image></annotations>",
          "wanted a box");
  refused("a.csv", "image,x,y,w,h\na.jpg,1,2,3,4\n", "line 1 is neither");
  refused("b.csv", "a.jpg,1,2,3,4\nb.jpg,1,2,3\n", "line 2: 3 of 4 corners");
  refused("c.csv", "a.jpg,1,2,3,4\nb.jpg,1,2,3,four\n", "line 2: \"four\" is not a number");
  refused("d.csv", "a.jpg,1,2,3,4\n\"b.jpg,1,2,3,4\n", "line 2: a quote is not closed");
  refused("a.txt", "0 0.5 0.5 0.1\n", "line 1: 4 numbers");
  refused("b.txt", "0 0.5 0.5 0.1 0.1\nsky 1 2 3 4\n", "line 2: \"sky\" is not a number");
  refused("lines.csv", "a.jpg,1,2,3,\"4\n5\x1b[2J\"\n", "\"4?5?[2J\" is not a number");
  refused("deep.json", std::string(200000, '['), "not valid JSON");
  CHECK(mentions(error_of([&] { load_boxes(temp / "missing.json"); }), "missing.json: no such file"));
}

TEST_CASE("damaged annotation files are read or refused, never worse") {
  const TempFolder temp;
  std::mt19937 random(5);
  int refused = 0, read = 0;
  std::vector<std::string> notes;
  const std::pair<const char*, const char*> files[] = {
      {"a.json", kCoco}, {"b.json", kLabelMe},  {"c.xml", kCvat}, {"d.csv", kViaCsv}, {"e.json", kViaJson},
      {"f.csv", kCsv},   {"g.csv", kCsvHeader}, {"h.txt", kYolo}, {"i.json", kViaOne}};
  for (const auto& [name, good] : files)
    for (int round = 0; round < 40; ++round) {
      std::string bad = good;
      for (int n = 1 + static_cast<int>(random() % 3); n > 0; --n) {
        const std::size_t at = random() % bad.size();
        switch (random() % 4) {
          case 0:
            bad[at] ^= static_cast<char>(1u << (random() % 8));
            break;
          case 1:
            bad.erase(at, random() % 9);
            break;
          case 2:
            bad.insert(at, bad.substr(random() % bad.size(), random() % 20));
            break;
          default:
            bad.insert(at, std::string(1, "{}[]\",<>-e\n"[random() % 11]));
        }
      }
      try {
        const BoxSet set = load_boxes(temp.write(name, bad));
        ++read;
        for (const ImageBoxes& entry : set.images) boxes_in_image(set, entry, 100, 80, notes);
      } catch (const Error&) {
        ++refused;
      }
    }
  CHECK(refused > 50);
  CHECK(read > 50);
}

TEST_CASE("regions of a mask: diagonal neighbours are one, the largest comes first") {
  const Tensor mask = mask_of({"#....####.",  //
                               ".#...#..#.",  //
                               "..#..#.##.",  //
                               "..........",  //
                               "#.......#.",  //
                               ".#.....#..",  //
                               "..#...#...",  //
                               "...#.#....",  //
                               "....#....#"});
  MaskBoxOptions options;
  options.min_share = 0;
  const auto boxes = boxes_from_mask(mask, options, "a");
  REQUIRE(boxes.size() == 4);
  check_box(boxes[0], 5, 0, 9, 3);  // 9 pixels; above the V of 9 pixels
  check_box(boxes[1], 0, 4, 9, 9);
  check_box(boxes[2], 0, 0, 3, 3);
  check_box(boxes[3], 9, 8, 10, 9);

  options.min_share = 0.05;  // of 90 pixels: drops those of 3 and 1
  CHECK(boxes_from_mask(mask, options, "a").size() == 2);
  options.min_share = 0.9;  // the largest always stays
  CHECK(boxes_from_mask(mask, options, "a").size() == 1);
  options.min_share = 0;
  options.merge = true;
  const auto merged = boxes_from_mask(mask, options, "a");
  REQUIRE(merged.size() == 1);
  check_box(merged[0], 0, 0, 10, 9);
  CHECK(boxes_from_mask(mask_of({"...", "..."}), options, "a").empty());
  CHECK(boxes_from_mask(mask_of({"#"}), options, "a").size() == 1);
}

TEST_CASE("regions agree with a flood fill on random masks") {
  std::mt19937 random(3);
  for (const unsigned density : {2u, 3u, 5u}) {
    const i64 h = 60, w = 47;
    Tensor mask = empty({h, w}, DType::u8);
    u8* m = mask.data<u8>();
    for (i64 i = 0; i < h * w; ++i) m[i] = random() % density == 0 ? 255 : 0;
    MaskBoxOptions options;
    options.min_share = 0;
    const auto boxes = boxes_from_mask(mask, options, "a");
    std::vector<std::array<double, 4>> expected, found;
    for (const Box& b : boxes) found.push_back({b.x0, b.y0, b.x1, b.y1});
    std::vector<bool> seen(static_cast<std::size_t>(h * w));
    for (i64 start = 0; start < h * w; ++start) {
      if (!m[start] || seen[static_cast<std::size_t>(start)]) continue;
      std::array<double, 4> box{1e9, 1e9, 0, 0};
      std::vector<i64> stack{start};
      seen[static_cast<std::size_t>(start)] = true;
      while (!stack.empty()) {
        const i64 x = stack.back() % w, y = stack.back() / w;
        stack.pop_back();
        box = {std::min<double>(box[0], x), std::min<double>(box[1], y), std::max<double>(box[2], x + 1),
               std::max<double>(box[3], y + 1)};
        for (i64 v = std::max<i64>(y - 1, 0); v <= std::min(y + 1, h - 1); ++v)
          for (i64 u = std::max<i64>(x - 1, 0); u <= std::min(x + 1, w - 1); ++u)
            if (m[v * w + u] && !seen[static_cast<std::size_t>(v * w + u)]) {
              seen[static_cast<std::size_t>(v * w + u)] = true;
              stack.push_back(v * w + u);
            }
      }
      expected.push_back(box);
    }
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    CHECK(found == expected);
  }
}

TEST_CASE("jitter moves every corner within its bounds, the same for the same seed and name") {
  Tensor mask = zeros({200, 300}, DType::u8);
  for (i64 y = 50; y < 90; ++y)
    std::fill_n(mask.data<u8>() + y * 300 + 100, 80, u8{255});  // 80 x 40 at (100, 50)
  std::fill_n(mask.data<u8>() + 298, 2, u8{255});               // touches the border
  MaskBoxOptions options;
  options.min_share = 0;
  options.jitter = 0.1;
  options.seed = 4;
  const auto a = boxes_from_mask(mask, options, "x.jpg"), b = boxes_from_mask(mask, options, "x.jpg");
  REQUIRE(a.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) CHECK((a[i].x0 == b[i].x0 && a[i].y1 == b[i].y1));
  CHECK(boxes_from_mask(mask, options, "y.jpg")[0].x0 != a[0].x0);
  options.seed = 5;
  CHECK(boxes_from_mask(mask, options, "x.jpg")[0].x0 != a[0].x0);

  double least = 1e9, most = -1e9, sum = 0;
  for (options.seed = 0; options.seed < 500; ++options.seed) {
    const auto boxes = boxes_from_mask(mask, options, "x.jpg");
    const Box& box = boxes[0];
    REQUIRE(std::abs(box.x0 - 100) <= 8.0001);
    REQUIRE(std::abs(box.x1 - 180) <= 8.0001);
    REQUIRE(std::abs(box.y0 - 50) <= 4.0001);
    REQUIRE(std::abs(box.y1 - 90) <= 4.0001);
    REQUIRE(boxes[1].x1 <= 300);
    REQUIRE(boxes[1].y0 >= 0);
    least = std::min(least, box.x1);
    most = std::max(most, box.x1);
    sum += box.x1 - 180;
  }
  CHECK(least < 173);
  CHECK(most > 187);
  CHECK(std::abs(sum / 500) < 0.8);
  options.jitter = 0.5;
  CHECK(mentions(error_of([&] { boxes_from_mask(mask, options, "x"); }), "jitter 0.5"));
}
