// Files, masks, drawing and progress.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "apps/iml/draw.h"
#include "apps/iml/masks.h"
#include "apps/iml/progress.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

std::vector<std::string> keys(const std::vector<ImageFile>& images) {
  std::vector<std::string> k;
  for (const auto& i : images) k.push_back(i.key);
  return k;
}

using Names = std::vector<std::string>;

Tensor square(i64 side, i64 x0, i64 y0, i64 x1, i64 y1) {
  const Box box{
      static_cast<double>(x0), static_cast<double>(y0), static_cast<double>(x1), static_cast<double>(y1), {}};
  return mask_of_boxes({&box, 1}, side, side);
}

// What a Progress writes: n steps, with a line said after the second.
std::string written(std::size_t n, bool terminal) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    Progress progress("teach", n, out, terminal);
    for (std::size_t i = 0; i < n; ++i) {
      if (i == 2) progress.say("a.jpg: failed");
      i == 0 ? progress.skip() : progress.advance();
    }
    progress.finish();
  }
  std::fclose(out);
  std::string s(text, size);
  std::free(text);
  return s;
}

}  // namespace

TEST_CASE("images of a file, a folder, a tree and a list") {
  const TempFolder temp;
  for (const char* name : {"b.JPG", "a.png", "c.tiff", "notes.txt", "d.gif", "sub/e.bmp", "sub/deep/f.jpeg"})
    temp.write(name, "x");
  CHECK(keys(list_images(temp.path)) == Names{"a.png", "b.JPG", "c.tiff"});
  CHECK(keys(list_images(temp.path, true)) ==
        Names{"a.png", "b.JPG", "c.tiff", "sub/deep/f.jpeg", "sub/e.bmp"});
  CHECK(keys(list_images(temp / "sub/e.bmp")) == Names{"e.bmp"});

  const auto list = temp.write("lists/all.txt", "\xEF\xBB\xBF../b.JPG\r\n\n  ../sub/e.bmp  \n/data/x.png");
  const auto images = list_images(list);
  CHECK(keys(images) == Names{"b.JPG", "sub/e.bmp", "data/x.png"});
  CHECK(fs::exists(images[0].path));
  CHECK(fs::exists(images[1].path));
  CHECK(images[2].path == "/data/x.png");

  CHECK(mentions(error_of([&] { list_images(temp / "no"); }), "no such file or folder"));
  CHECK(mentions(error_of([&] { list_images(temp / "lists"); }), "no images"));
  CHECK(mentions(error_of([&] { list_images(temp.write("e.txt", "\n \n")); }), "empty list"));
  CHECK(mentions(error_of([&] { list_images(temp.write("d.txt", "a.png\n../x/a.png\n./a.png\n")); }),
                 "lines 1 and 3 both name a.png"));
  CHECK(mentions(error_of([&] {
                   list_images(temp.write("bin", std::string("\x7f"
                                                             "ELF\0\1",
                                                             6)));
                 }),
                 "neither"));
}

TEST_CASE("masks are paired by stem and suffix; what does not pair is told") {
  const TempFolder temp;
  for (const char* name :
       {"Gt/a_gt.png", "Gt/b.png", "Gt/c_mask.PNG", "Gt/d_edgemask.jpg", "Gt/7forged.tif", "Gt/e.png",
        "Gt/e_gt.png", "Gt/stray.png", "Gt/s1/x.png", "Gt/s2/x.png", "Gt/readme.txt"})
    temp.write(name, "x");
  std::vector<ImageFile> images;
  for (const char* key :
       {"a.jpg", "b.tif", "c.png", "d.tif", "7t.tif", "7.tif", "e.jpg", "s2/x.jpg", "lone.jpg"})
    images.push_back({temp / key, key});
  const MaskPairs pairs = pair_masks(images, temp / "Gt");
  const Names expected{"a_gt.png", "b.png", "c_mask.PNG", "d_edgemask.jpg", "7forged.tif", "", "",
                       "x.png",    ""};
  for (std::size_t i = 0; i < images.size(); ++i) CHECK(pairs.masks[i].filename() == expected[i]);
  CHECK(pairs.masks[7] == temp / "Gt/s2/x.png");
  CHECK(pairs.ambiguous == Names{"e.jpg: e.png, e_gt.png"});
  CHECK(pairs.lone_images == Names{"7.tif", "lone.jpg"});
  CHECK(pairs.lone_masks == Names{"stray.png", "s1/x.png"});
}

TEST_CASE("images and masks in one folder: an image is not its own mask") {
  const TempFolder temp;
  for (const char* name : {"a.jpg", "a_mask.png", "b.jpg"}) temp.write(name, "x");
  const std::vector<ImageFile> images{{temp / "a.jpg", "a.jpg"}, {temp / "b.jpg", "b.jpg"}};
  const MaskPairs pairs = pair_masks(images, temp.path);
  CHECK(pairs.masks[0] == temp / "a_mask.png");
  CHECK(pairs.lone_images == Names{"b.jpg"});
  CHECK(pairs.lone_masks.empty());
}

TEST_CASE("files are written whole or not at all") {
  const TempFolder temp;
  write_file(temp / "a.txt", "one");
  write_file(temp / "a.txt", "two");
  CHECK(read_file(temp / "a.txt") == "two");
  CHECK(mentions(error_of([&] { read_file(temp / "a.txt", 2); }), "3 bytes, at most 2"));
  fs::create_directory(temp / "folder");
  CHECK(mentions(error_of([&] { write_file(temp / "folder", "x"); }), "not a regular file"));
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& e : fs::directory_iterator(temp.path)) ++entries;
  CHECK(entries == 2);
}

TEST_CASE("mask area, union and IoU") {
  const Tensor a = square(10, 0, 0, 4, 5), b = square(10, 2, 0, 6, 5), none = square(10, 3, 3, 3, 3);
  CHECK(mask_area(a) == 20);
  CHECK(mask_iou(a, b) == doctest::Approx(10.0 / 30));
  CHECK(mask_iou(a, a) == 1);
  CHECK(mask_iou(a, none) == 0);
  CHECK(mask_iou(none, none) == 1);
  Tensor both = square(10, 0, 0, 4, 5);
  unite(both, b);
  CHECK(mask_area(both) == 30);
  CHECK(mentions(error_of([&] { mask_iou(a, square(9, 0, 0, 1, 1)); }), "[10,10] and [9,9]"));
}

TEST_CASE("a box fills the pixels whose centre it holds") {
  Tensor mask = zeros({4, 6}, DType::u8);
  fill_box(mask, {1.5, 0.51, 3.5, 2.49, {}});  // centres 1.5 and 2.5 by 1.5
  CHECK(mask_area(mask) == 2);
  CHECK(mask.data<u8>()[6 + 1] == 255);
  CHECK(mask.data<u8>()[6 + 2] == 255);
  fill_box(mask, {-5, -5, 100, 100, {}});
  CHECK(mask_area(mask) == 24);
}

TEST_CASE("an overlay tints inside, outlines the edge and leaves the rest") {
  const Tensor image = full({40, 40, 3}, 100, DType::u8);
  const Tensor drawn = overlay(image, square(40, 10, 10, 30, 30), {200, 0, 100}, 0.5);
  const auto pixel = [&](i64 x, i64 y) {
    const u8* p = drawn.data<u8>() + (y * 40 + x) * 3;
    return std::vector<int>{p[0], p[1], p[2]};
  };
  CHECK(pixel(20, 20) == std::vector<int>{150, 50, 100});
  CHECK(pixel(10, 20) == std::vector<int>{200, 0, 100});
  CHECK(pixel(29, 29) == std::vector<int>{200, 0, 100});
  CHECK(pixel(9, 20) == std::vector<int>{100, 100, 100});
  CHECK(image.data<u8>()[(20 * 40 + 20) * 3] == 100);
  // Four pixels of line on a larger image, centred on the edge.
  const Tensor large =
      overlay(full({1000, 1000, 3}, 100, DType::u8), square(1000, 500, 0, 1000, 1000), {200, 0, 9}, 0);
  const u8* row = large.data<u8>() + 500 * 1000 * 3;
  for (i64 x = 496; x < 504; ++x) CHECK((row[3 * x] == 200) == (x >= 498 && x < 502));
}

TEST_CASE("boxes and labels stay inside the image, wherever they are") {
  for (const Shape& shape : {Shape{1, 1, 3}, Shape{30, 50, 3}, Shape{600, 900, 3}}) {
    Tensor image = full(shape, 100, DType::u8);
    const auto w = static_cast<double>(shape[1]), h = static_cast<double>(shape[0]);
    for (const Box& box : {Box{0, 0, w, h, {}}, Box{w / 2, h / 2, w + 50, h + 50, {}}, Box{-9, -9, 1, 1, {}}})
      draw_box(image, box, "IoU 0.93 \xC3\xA4");
  }
  Tensor narrow = full({40, 40, 3}, 100, DType::u8);
  draw_box(narrow, {30, 10, 60, 30, {}}, "IoU");
  for (i64 y = 10; y < 40; ++y) CHECK(narrow.data<u8>()[y * 40 * 3] == 100);  // nothing wraps to the next row
  Tensor image = full({300, 400, 3}, 100, DType::u8);
  draw_box(image, {100, 100, 200, 180, {}}, {}, {1, 2, 3});
  const u8* p = image.data<u8>();
  CHECK(p[(100 * 400 + 150) * 3] == 1);    // the top line
  CHECK(p[(140 * 400 + 199) * 3] == 1);    // the right one
  CHECK(p[(140 * 400 + 150) * 3] == 100);  // not filled
  CHECK(p[(99 * 400 + 150) * 3] < 30);     // its dark edge
  Tensor letters = full({11, 9, 3}, 0, DType::u8);
  draw_text(letters, 0, 0, "T", 1, {255, 255, 255}, {10, 10, 10});
  int lit = 0;
  for (i64 i = 0; i < 11 * 9; ++i) lit += letters.data<u8>()[3 * i] == 255;
  CHECK(lit == 11);  // the bar of 5 and the stem of 6
}

TEST_CASE("progress: share, rate and time left") {
  CHECK(progress_line("teach", 37, 0, 100, 18.5) ==
        "teach  37% [#######.............] 37/100  2.0/s  0:32 left");
  CHECK(progress_line("teach", 50, 48, 100, 20) ==
        "teach  50% [##########..........] 50/100  10.0 s each  8:20 left");
  CHECK(progress_line("teach", 3, 3, 10, 5) == "teach  30% [######..............] 3/10");
  CHECK(progress_line("x", 10, 0, 10, 7200) ==
        "x 100% [####################] 10/10  720.0 s each  in 2:00:00");
  CHECK(progress_line("x", 0, 0, 0, 0) == "x 100% [####################] 0/0");

  const std::string plain = written(1000, false);
  CHECK(std::count(plain.begin(), plain.end(), '\n') == 11);  // every tenth, and what was said
  CHECK(mentions(plain, "a.jpg: failed\n"));
  CHECK(!mentions(plain, "\r"));
  const std::string bar = written(5, true);
  CHECK(mentions(bar, "\r\x1b[Ka.jpg: failed\n"));
  CHECK(mentions(bar, "5/5"));
  CHECK(bar.back() == '\n');
  CHECK(written(0, true).empty());
}

TEST_CASE("the first Ctrl-C is noted, the second ends the process") {
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    catch_interrupts();
    (void)!write(ready[1], "r", 1);
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    (void)!write(ready[1], "i", 1);
    for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  char c = 0;
  CHECK((read(ready[0], &c, 1) == 1 && c == 'r'));
  kill(child, SIGINT);
  CHECK((read(ready[0], &c, 1) == 1 && c == 'i'));
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 128 + SIGTERM);
  close(ready[0]);
  close(ready[1]);
}
