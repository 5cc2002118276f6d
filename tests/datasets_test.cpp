// The field's data sets as small trees: who has which mask, who is authentic, what does not pair, what is
// tampered.
#include <doctest/doctest.h>

#include "apps/iml/datasets.h"
#include "apps/iml/image.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

using Names = std::vector<std::string>;

void plant(const TempFolder& temp, const Names& files) {
  for (const auto& name : files) temp.write(name, "x");
}

// "key = mask's path in the set", "key = authentic", sorted.
Names contents(const Dataset& set, const fs::path& root) {
  Names lines;
  for (const Sample& s : set.samples)
    lines.push_back(s.key + " = " +
                    (s.authentic() ? "authentic" : s.mask.lexically_relative(root).generic_string()));
  std::sort(lines.begin(), lines.end());
  return lines;
}

Dataset only(const fs::path& path) {
  const auto sets = open_datasets(path);
  REQUIRE(sets.size() == 1);
  return sets[0];
}

// One pixel of each colour that inside() names.
Tensor truth_of(const TempFolder& temp, MaskCode code) {
  Tensor image = zeros({1, 6, 3}, DType::u8);
  const int values[18]{0, 0, 0, 20, 20, 20, 200, 0, 0, 0, 200, 0, 255, 255, 255, 0, 0, 255};
  std::copy_n(values, 18, image.data<u8>());
  save_png(temp / "mask.png", image);
  return load_truth({{}, temp / "mask.png", "x", code});
}
Names inside(const Tensor& mask) {
  Names names;
  const char* colours[]{"black", "grey", "red", "green", "white", "blue"};
  for (i64 i = 0; i < mask.numel(); ++i)
    if (mask.data<u8>()[i]) names.emplace_back(colours[i]);
  return names;
}

}  // namespace

TEST_CASE("Tp and Gt pair by stem, Au is authentic, and strays are told instead of shifting the pairs") {
  const TempFolder temp;
  plant(temp, {"set/TP/a.jpg", "set/TP/b.tif", "set/TP/stray.jpg", "set/TP/s/c.png", "set/Gt/b_gt.png",
               "set/Gt/a.png", "set/Gt/s/c_mask.png", "set/Gt/unknown.png", "set/Au/z.jpg"});
  const Dataset set = only(temp / "set");
  CHECK(set.name == "set");
  CHECK(set.layout == "Tp/Gt");
  CHECK(contents(set, temp / "set") == Names{"Au/z.jpg = authentic", "TP/a.jpg = Gt/a.png",
                                             "TP/b.tif = Gt/b_gt.png", "TP/s/c.png = Gt/s/c_mask.png"});
  REQUIRE(set.unpaired.size() == 2);
  CHECK(mentions(set.unpaired[0], "stray.jpg: no mask"));
  CHECK(mentions(set.unpaired[1], "unknown.png: a mask of no image"));
  CHECK(only(temp.path.string() + "/set/").name == "set");
}

TEST_CASE("CASIA v1, CocoGlide and Korus") {
  const TempFolder temp;
  plant(temp, {"casia/Sp/x.jpg", "casia/groundtruth/x_gt.png", "casia/Au/y.jpg",
               "glide/fake/glide_inpainting_val2017_7_up.png", "glide/mask/big dog_7_mask.png",
               "glide/real/big dog_7.png", "korus/Nikon/tampered-realistic/r1.TIF",
               "korus/Nikon/ground-truth/r1.PNG", "korus/Nikon/pristine/r1.TIF",
               "korus/Sony/tampered-realistic/r1.TIF", "korus/Sony/ground-truth/r1.PNG"});
  CHECK(only(temp / "casia").layout == "CASIA v1");
  CHECK(contents(only(temp / "casia"), temp / "casia") ==
        Names{"Au/y.jpg = authentic", "Sp/x.jpg = groundtruth/x_gt.png"});
  CHECK(contents(only(temp / "glide"), temp / "glide") ==
        Names{"fake/glide_inpainting_val2017_7_up.png = mask/big dog_7_mask.png",
              "real/big dog_7.png = authentic"});
  const Dataset korus = only(temp / "korus");
  CHECK(korus.layout == "Korus");
  CHECK(contents(korus, temp / "korus") ==
        Names{"Nikon/pristine/r1.TIF = authentic",
              "Nikon/tampered-realistic/r1.TIF = Nikon/ground-truth/r1.PNG",
              "Sony/tampered-realistic/r1.TIF = Sony/ground-truth/r1.PNG"});
  CHECK(korus.samples[0].code == MaskCode::not_black);
}

TEST_CASE("Columbia, COVERAGE, DSO-1 and IMD2020") {
  const TempFolder temp;
  plant(temp,
        {"columbia/4cam_splc/s1.tif", "columbia/4cam_splc/edgemask/s1_edgemask.jpg",
         "columbia/4cam_splc/edgemask/s1_edgemask_3.jpg", "columbia/4cam_auth/a1.tif", "coverage/image/1.tif",
         "coverage/image/1t.tif", "coverage/mask/1copy.tif", "coverage/mask/1paste.tif",
         "coverage/mask/1forged.tif", "dso/DSO-1/normal-01.png", "dso/DSO-1/splicing-01.png",
         "dso/DSO-1-Fake-Images-Masks/splicing-01.png", "imd/aa/aa_orig.jpg", "imd/aa/aa_0.png",
         "imd/aa/aa_0_mask.png", "imd/bb/aa_0.jpg", "imd/bb/aa_0_mask.png"});
  const Dataset columbia = only(temp / "columbia");
  CHECK(contents(columbia, temp / "columbia") ==
        Names{"4cam_auth/a1.tif = authentic", "4cam_splc/s1.tif = 4cam_splc/edgemask/s1_edgemask.jpg"});
  CHECK(columbia.samples[0].code == MaskCode::green);
  CHECK(columbia.unpaired.empty());
  const Dataset coverage = only(temp / "coverage");
  CHECK(contents(coverage, temp / "coverage") ==
        Names{"image/1.tif = authentic", "image/1t.tif = mask/1forged.tif"});
  CHECK(coverage.unpaired.empty());
  const Dataset dso = only(temp / "dso");
  CHECK(contents(dso, temp / "dso") ==
        Names{"DSO-1/normal-01.png = authentic",
              "DSO-1/splicing-01.png = DSO-1-Fake-Images-Masks/splicing-01.png"});
  CHECK(dso.samples[0].code == MaskCode::black);
  const Dataset imd = only(temp / "imd");
  CHECK(imd.layout == "IMD2020");
  CHECK(contents(imd, temp / "imd") == Names{"aa/aa_0.png = aa/aa_0_mask.png", "aa/aa_orig.jpg = authentic",
                                             "bb/aa_0.jpg = bb/aa_0_mask.png"});
  CHECK(imd.unpaired.empty());
}

TEST_CASE("NIST16 by its tables: the whole manipulation before its parts, black is tampered") {
  const TempFolder temp;
  plant(temp, {"probe/p1.jpg"});
  const std::string head = "TaskID|ProbeFileID|ProbeFileName|IsTarget|ProbeMaskFileName\r\n";
  temp.write("reference/manipulation/ref.csv", head +
                                                   "m|1|probe/p1.jpg|Y|reference/manipulation/mask/m1.png\r\n"
                                                   "m|2|probe/p2.jpg|N|\r\nm|3|probe/p3.jpg|Y|\r\n\r\n");
  temp.write("reference/aaa/ref.csv", head + "r|1|probe/p1.jpg|Y|reference/aaa/mask/r1.png\n");
  temp.write("reference/aaa/journal.csv", "Other|Columns\n1|2\n");
  const Dataset set = only(temp.path);
  CHECK(set.layout == "NIST16");
  CHECK(contents(set, temp.path) ==
        Names{"probe/p1.jpg = reference/manipulation/mask/m1.png", "probe/p2.jpg = authentic"});
  CHECK(set.samples[0].code == MaskCode::black);
  CHECK(set.unpaired.size() == 1);
  temp.write("reference/manipulation/ref.csv", head + "m|1|probe/p1.jpg\n");
  CHECK(mentions(error_of([&] { open_datasets(temp.path); }), "line 2 has 3 fields, wanted 5"));
}

TEST_CASE("lists and sets by name; a folder of masks alone") {
  const TempFolder temp;
  plant(temp, {"set/Tp/a.jpg", "set/Gt/a.png", "masks/a_gt.png", "masks/s/b.png", "masks/c_edgemask.jpg"});
  temp.write("list.json", R"([["set/Tp/a.jpg", "set/Gt/a.png"], ["set/Tp/b.jpg", "Negative"]])");
  CHECK(contents(only(temp / "list.json"), temp.path) ==
        Names{"set/Tp/a.jpg = set/Gt/a.png", "set/Tp/b.jpg = authentic"});
  temp.write("sets.json", R"({"one": "set", "two": "list.json"})");
  const auto sets = open_datasets(temp / "sets.json");
  REQUIRE(sets.size() == 2);
  CHECK(sets[0].name == "one");
  CHECK(sets[0].layout == "Tp/Gt");
  CHECK(sets[1].name == "two");
  const Dataset masks = only(temp / "masks");
  CHECK(contents(masks, temp / "masks") == Names{"a = a_gt.png", "c = c_edgemask.jpg", "s/b = s/b.png"});
  for (const Sample& s : masks.samples) CHECK(s.code == (s.key == "c" ? MaskCode::green : MaskCode::white));
}

TEST_CASE("what is no data set is told in one line") {
  const TempFolder temp;
  plant(temp, {"empty/readme.txt", "lone/Tp/a.jpg", "lone/Gt/b.png"});
  const auto why = [&](const fs::path& path) { return error_of([&] { open_datasets(path); }); };
  CHECK(mentions(why(temp / "no"), "no such file or folder"));
  CHECK(mentions(why(temp / "empty"), "no images"));
  CHECK(mentions(why(temp / "lone"), "no image of lone has a mask (Tp/Gt, 2 files"));
  CHECK(mentions(why(temp.write("a.json", "[[1, 2]]")), "entry 0 is not"));
  CHECK(mentions(why(temp.write("b.json", "[[\"a\", \"b\"], [\"./a\", \"c\"]]")), "entry 1 names a again"));
  CHECK(mentions(why(temp.write("c.json", "{\"x\": \"c.json\"}")), "inside a file that does"));
  CHECK(mentions(why(temp.write("d.json", "{\"x\": 1}")), "x is not a path"));
  CHECK(mentions(why(temp.write("e.json", "nonsense")), "not a JSON list"));
  CHECK(mentions(why(temp.write("f.json", "{}")), "names no sets"));
  CHECK(mentions(why(temp.write("g.json", "[]")), "no image of g has a mask"));
}

TEST_CASE("which pixels of a mask file are tampered") {
  const TempFolder temp;
  CHECK(inside(truth_of(temp, MaskCode::white)) == Names{"white"});
  CHECK(inside(truth_of(temp, MaskCode::black)) == Names{"black", "grey", "red", "green", "blue"});
  CHECK(inside(truth_of(temp, MaskCode::not_black)) == Names{"grey", "red", "green", "white", "blue"});
  CHECK(inside(truth_of(temp, MaskCode::green)) == Names{"green"});
  CHECK(mentions(error_of([] { load_truth({"a.jpg", {}, "a"}); }), "authentic"));
}
