// Files made to break their reader: every one must end in one clear Error, never in a crash or a large
// allocation.
#include <cstring>
#include <random>

#include "engine/allocator.h"
#include "tests/weights_common.h"

using namespace bp;
using namespace weights_test;

namespace {

const std::string kTensor = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

std::string refused_header(const Folder& folder, const std::string& header, const std::string& data) {
  return error_of_opening(write_bytes(folder / "x", safetensors(header, data)));
}

// Pickle, piece by piece. Short names of opcodes as in Python's pickletools.
std::string word(const std::string& s) {
  return "X" + le(static_cast<std::uint32_t>(s.size())) + s;
}
std::string integer(i64 v) {  // the fewest bytes that keep the sign, as Python writes it
  std::size_t n = 8;
  while (n > 1 && v >> (8 * (n - 1) - 1) == (v < 0 ? -1 : 0)) --n;
  return "\x8a" + std::string(1, static_cast<char>(n)) + le(v).substr(0, n);
}
std::string tuple(const std::string& items) {
  return "(" + items + "t";
}
std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string integers(const std::vector<i64>& values) {
  std::string items;
  for (i64 v : values) items += integer(v);
  return tuple(items);
}
std::string tensor(i64 offset, const std::vector<i64>& shape, const std::vector<i64>& strides,
                   const std::string& key = "0", const std::string& type = "FloatStorage") {
  const std::string storage =
      tuple(word("storage") + global("torch", type) + word(key) + word("cpu") + integer(6)) + "Q";
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(storage + integer(offset) + integers(shape) + integers(strides) + "\x89" +
               global("collections", "OrderedDict") + ")R") +
         "R";
}
std::string state_dict(const std::string& value) {
  return "\x80\x02}" + word("w") + value + "s.";
}

// A file whose storage "0" holds 6 floats 0, 1, 2 ...
std::string pth(const std::string& pickle) {
  std::string storage;
  for (int i = 0; i < 6; ++i) storage += le(static_cast<float>(i));
  return zip({{"x/data.pkl", pickle}, {"x/data/0", storage}, {"x/version", "3\n"}});
}
std::string refused_pickle(const Folder& folder, const std::string& pickle) {
  return error_of_opening(write_bytes(folder / "x.pth", pth(pickle)));
}

// Opens a file and reads all of it. Any exception but Error ends the test.
void read_everything(const std::string& path) {
  error_of([&] {
    const Archive a = open_archive(path);
    for (const Entry& e : a.entries()) {
      error_of([&] { a.tensor(e.name).values(); });
      error_of([&] { a.integers(e.name); });
    }
  });
}

}  // namespace

TEST_CASE("safetensors: headers that lie") {
  const Folder folder;
  const std::string data(16, '\0');
  const auto two = [&](const std::string& second) {
    return refused_header(folder, R"({"a":)" + kTensor + R"(,"b":)" + second + "}", data);
  };
  CHECK(two(R"({"dtype":"F32","shape":[2],"data_offsets":[8,16]})") == "no error");

  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "x", le(std::uint64_t{1} << 60) + "{}")),
                 "a header of 1152921504606846976 bytes in a file of 10");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "x", le(~std::uint64_t{0}) + "{}")), "a header of");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"), "'b' begins at byte 4");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "inside the one before it");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[1],"data_offsets":[12,16]})"), "after a gap");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[1],"data_offsets":[8,12]})"),
                 "4 bytes after the last tensor");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"data_offsets":[16,24]})"), "at bytes 16 to 24 of 16");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"data_offsets":[16,8]})"), "at bytes 16 to 8");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[3],"data_offsets":[8,16]})"), "has 8 bytes, wanted 12");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[8,8]})"),
                 "impossible shape");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[8,8]})"),
                 "impossible shape");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[8,16]})"),
                 "has an axis of");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[8,8]})"),
                 "impossible");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[-2],"data_offsets":[8,16]})"), "-2 at 'shape'");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2.0],"data_offsets":[8,16]})"), "2.0 at 'shape'");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,2],"data_offsets":[8,16]})"),
                 "more than 6 axes");
  CHECK_CONTAINS(two(R"({"dtype":"Q5","shape":[2],"data_offsets":[8,16]})"), "unknown dtype 'Q5'");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2]})"), "lacks dtype, shape or data_offsets");
  CHECK_CONTAINS(two(R"({"dtype":"F32","data_offsets":[8,16]})"), "lacks dtype, shape or data_offsets");
  CHECK_CONTAINS(two(R"({"shape":[2],"data_offsets":[8,16]})"), "lacks dtype, shape or data_offsets");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"data_offsets":[8]})"), "1 data_offsets, wanted 2");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"data_offsets":[8,16,24]})"), "more than 2 data_offsets");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[8,16]})"),
                 "a list at 'shape'");
  CHECK_CONTAINS(two(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[8,16]})"),
                 "a text at 'dtype'");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[2],"data_offsets":[8,16],"more":1})"), "has a field 'more'");
  CHECK_CONTAINS(two(R"({"dtype":"F32","shape":[[2]],"data_offsets":[8,16]})"), "a list at 'shape'");
  CHECK_CONTAINS(two(R"({"dtype":{},"shape":[2],"data_offsets":[8,16]})"), "'dtype' holds an object");
  for (const char* value : {"3", "null", "true", "\"text\"", "[]", "[1]", "1e999", ""}) {
    CAPTURE(value);
    CHECK_CONTAINS(two(value), "bad safetensors header");
  }
  CHECK_CONTAINS(
      refused_header(folder, R"({"a":)" + kTensor + R"(,"a":)" + kTensor + "}", std::string(8, '\0')),
      "inside the one before it");
  CHECK_CONTAINS(
      refused_header(folder, R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":)" + kTensor + "}",
                     std::string(8, '\0')),
      "two tensors named 'a'");
  CHECK_CONTAINS(refused_header(folder, R"({"__metadata__":{},"__metadata__":{}})", ""),
                 "__metadata__ twice");
  CHECK_CONTAINS(refused_header(folder, R"({"__metadata__":{"a":"1","a":"2"}})", ""), "metadata 'a' twice");
  CHECK_CONTAINS(refused_header(folder, R"({"__metadata__":{"a":1}})", ""), "a number at 'a'");
  CHECK_CONTAINS(refused_header(folder, R"({"__metadata__":{"a":{}}})", ""), "too deep");
  CHECK_CONTAINS(refused_header(folder, R"({"a":)", ""), "not valid JSON");
  CHECK_CONTAINS(refused_header(folder, "{} x", ""), "not valid JSON");
  CHECK_CONTAINS(refused_header(folder, "{\"\xff\":1}", ""), "not valid JSON");
}

TEST_CASE("safetensors: nesting of any depth") {
  const Folder folder;
  std::string objects, lists(1 << 20, '[');
  for (int i = 0; i < 1 << 18; ++i) objects += R"({"a":)";
  CHECK_CONTAINS(refused_header(folder, objects, ""), "bad safetensors header");
  CHECK_CONTAINS(refused_header(folder, R"({"a":)" + lists, ""), "bad safetensors header");
}

TEST_CASE("control characters of a file do not reach the message") {
  const Folder folder;
  CHECK_CONTAINS(
      refused_header(folder, R"({"a\n\u001b[31m":{"dtype":"\u0007","shape":[],"data_offsets":[0,0]}})", ""),
      "'a??[31m' has unknown dtype '?'");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(global("os\x1b", "system"))), "pickle names os?.system");
}

TEST_CASE("pth: the tensors that these tests change are read when they are right") {
  const Folder folder;
  const std::string path = write_bytes(folder / "x.pth", pth(state_dict(tensor(1, {2, 2}, {1, 3}))));
  const Archive a = open_archive(path);
  CHECK(a.tensor("w").values() == std::vector<float>{1, 4, 2, 5});
}

TEST_CASE("pth: tensors that leave their storage") {
  const Folder folder;
  const auto refused = [&](i64 offset, const std::vector<i64>& shape, const std::vector<i64>& strides) {
    return refused_pickle(folder, state_dict(tensor(offset, shape, strides)));
  };
  constexpr i64 kHuge = i64{1} << 62;
  CHECK(refused(0, {6}, {1}) == "no error");
  CHECK(refused(5, {}, {}) == "no error");
  CHECK(refused(kHuge, {0}, {1}) == "no error");
  CHECK(refused(0, {1, 6}, {kHuge, 1}) == "no error");
  CHECK_CONTAINS(refused(1, {6}, {1}), "from element 1 leaves its storage of 6");
  CHECK_CONTAINS(refused(6, {}, {}), "leaves its storage");
  CHECK_CONTAINS(refused(-1, {2}, {1}), "leaves its storage");
  CHECK_CONTAINS(refused(0, {2}, {6}), "leaves its storage");
  CHECK_CONTAINS(refused(0, {3}, {kHuge}), "leaves its storage");
  CHECK_CONTAINS(refused(kHuge, {2}, {kHuge}), "leaves its storage");
  CHECK_CONTAINS(refused(0, {kHuge, 4}, {0, 0}), "impossible shape");
  CHECK_CONTAINS(refused(0, {kHuge}, {0}), "larger than the whole file");
  CHECK_CONTAINS(refused(0, {100000}, {0}), "larger than the whole file");
  CHECK_CONTAINS(refused(0, {2}, {-1}), "negative");
  CHECK_CONTAINS(refused(0, {-2}, {1}), "negative");
  CHECK_CONTAINS(refused(0, {2}, {1, 1}), "shape [2] with strides [1,1]");
  CHECK_CONTAINS(refused(0, {1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1}), "tuple of at most 6");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(tensor(0, {4}, {1}, "0", "DoubleStorage"))),
                 "storage of 3");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(tensor(0, {2}, {1}, "1"))), "'1' is not in the file");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(tensor(0, {2}, {1}, "0", "QInt8Storage"))),
                 "pickle names torch.QInt8Storage");
}

TEST_CASE("pth: pickles that would do something") {
  const Folder folder;
  const std::string run = tuple(word("touch executed")) + "R";
  CHECK_CONTAINS(refused_pickle(folder, state_dict(global("os", "system") + run)),
                 "x.pth: pickle names os.system; only tensors of a state dict are read");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(word("builtins") + word("eval") + "\x93" + run)),
                 "pickle names builtins.eval");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(word("a") + word("b") + "R")), "bad call");
  CHECK_CONTAINS(refused_pickle(folder, state_dict("(S'a'\n")), "pickle opcode 83");
  CHECK_CONTAINS(refused_pickle(folder, state_dict("\x82\x01")), "pickle opcode 130");  // EXT1
}

TEST_CASE("pth: damaged pickles") {
  const Folder folder;
  CHECK_CONTAINS(refused_pickle(folder, ""), "ends early");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02"), "ends early");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02."), "nothing on the stack");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02}N(0t."), "nothing on the stack");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x09}."), "protocol 9");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02(}."), "values are left");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02}}."), "values are left");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02h\x05."), "memo 5 is empty");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02Nu."), "no mark");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02}(Nu."), "a key without a value");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02N(NNu."), "items for no container");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02NNb."), "attributes of no object");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02(\x86."), "values wanted");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02X\xff\xff\xff\xff"), "ends early");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02\x8d" + le(~std::uint64_t{0})), "ends early");
  CHECK_CONTAINS(refused_pickle(folder,
                                "\x80\x02"
                                "cos"),
                 "a line without an end");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02" + std::string(5 << 20, ')')), "wanted at most 4194304");
  const std::string call = global("torch._utils", "_rebuild_tensor_v2");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(call + ")R")), "damaged description");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(call +
                                                   tuple("N"
                                                         "Q" +
                                                         integer(0) + "))") +
                                                   "R")),
                 "damaged storage");
  CHECK_CONTAINS(refused_pickle(folder, state_dict(call + tuple(")Q" + integer(0) + "))") + "R")),
                 "damaged storage");
}

TEST_CASE("pth: nesting and circles") {
  const Folder folder;
  std::string deep = "\x80\x02";
  for (int i = 0; i < 1 << 20; ++i) deep += ']';
  for (int i = 1; i < 1 << 20; ++i) deep += 'a';
  CHECK_CONTAINS(refused_pickle(folder, deep + "."), "no dict");
  CHECK_CONTAINS(refused_pickle(folder, "\x80\x02" + std::string(1 << 20, '(') + "."),
                 "nothing on the stack");
  // A dict that is its own "model", a list that holds itself, a Parameter of a Parameter without end.
  const std::string own =
      "\x80\x02}q" + std::string(1, '\0') + word("model") + "h" + std::string(1, '\0') + "s.";
  CHECK_CONTAINS(refused_pickle(folder, own), "no tensors");
  CHECK_CONTAINS(refused_pickle(folder,
                                "\x80\x02]q\x01h\x01"
                                "a."),
                 "no dict");
  std::string parameters = tensor(0, {2}, {1});
  for (int i = 0; i < 1000; ++i)
    parameters = global("torch._utils", "_rebuild_parameter") + tuple(parameters + "\x89)") + "R";
  CHECK_CONTAINS(refused_pickle(folder, state_dict(parameters)), "no tensors");
  // A large tuple as the argument of a million calls costs nothing.
  std::string bomb =
      "\x80\x02(" + std::string(1 << 20, 'N') + "tq\x01" + "0" + global("torch", "Size") + "q\x02" + "0";
  for (int i = 0; i < 1 << 18; ++i) bomb += "h\x02h\x01R0";
  CHECK_CONTAINS(refused_pickle(folder, bomb + "}."), "no tensors");
}

TEST_CASE("zip: damaged and dishonest directories") {
  const Folder folder;
  const std::string good = pth(state_dict(tensor(0, {6}, {1})));
  const std::string path = folder / "x.pth";
  const std::size_t end = good.size() - 22;  // the end record
  const auto refused = [&](std::size_t at, const std::string& bytes) {
    std::string bad = good;
    bad.replace(at, bytes.size(), bytes);
    return error_of_opening(write_bytes(path, bad));
  };
  std::uint32_t directory = 0;
  std::memcpy(&directory, good.data() + end + 16, sizeof directory);
  CHECK(refused(0, "PK") == "no error");
  CHECK_CONTAINS(error_of_opening(write_bytes(path, good.substr(0, good.size() / 2))), "truncated zip");
  CHECK_CONTAINS(error_of_opening(write_bytes(path, "PK\x03\x04")), "truncated zip");
  CHECK_CONTAINS(refused(end + 4, le<std::uint16_t>(1)), "in several parts");
  CHECK_CONTAINS(refused(end + 10, le<std::uint16_t>(60000)), "60000 records in");
  CHECK_CONTAINS(refused(end + 10, le<std::uint16_t>(2)), "bytes after its last record");
  CHECK_CONTAINS(refused(end + 12, le<std::uint32_t>(0xffffffff)), "leave the file");
  CHECK_CONTAINS(refused(end + 16, le<std::uint32_t>(0xfffffff0)), "leave the file");
  CHECK_CONTAINS(refused(end + 16, le<std::uint32_t>(1)), "damaged at record 0");
  CHECK_CONTAINS(refused(directory + 8, le<std::uint16_t>(1)), "is encrypted");
  CHECK_CONTAINS(refused(directory + 10, le<std::uint16_t>(8)), "is compressed");
  CHECK_CONTAINS(refused(directory + 20, le<std::uint32_t>(1)), "has two sizes");
  CHECK_CONTAINS(refused(directory + 42, le<std::uint32_t>(0x7fffffff)), "leave the file");
  CHECK_CONTAINS(refused(directory + 42, le<std::uint32_t>(3)), "no record at byte 3");
  CHECK_CONTAINS(refused(directory + 20, le<std::uint32_t>(1u << 31) + le<std::uint32_t>(1u << 31)),
                 "leave the file");
  const std::uint32_t longer = 40 + static_cast<std::uint32_t>(state_dict(tensor(0, {6}, {1})).size());
  CHECK_CONTAINS(refused(directory + 20, le(longer) + le(longer)), "overlap");
  CHECK_CONTAINS(error_of_opening(write_bytes(path, zip({{"x/data.pkl", "a"}, {"x/data.pkl", "a"}}))),
                 "appears twice");
  CHECK_CONTAINS(error_of_opening(write_bytes(path, zip({{"readme", "a"}}))), "without PyTorch's data.pkl");
  CHECK_CONTAINS(error_of_opening(write_bytes(path, zip({}))), "without PyTorch's data.pkl");
}

TEST_CASE("zip64: sizes and offsets of 64 bits") {
  const Folder folder;
  const std::string good = pth(state_dict(tensor(1, {2, 2}, {1, 3}))), no64(4, '\xff');
  std::uint32_t directory = 0;
  std::memcpy(&directory, good.data() + good.size() - 6, sizeof directory);
  // The same records under a directory whose numbers all stand in zip64 fields; the offset of record 1 may be
  // a lie.
  const auto with64 = [&](std::uint64_t lie) {
    std::string out = good.substr(0, directory), entries;
    std::size_t at = directory;
    for (int i = 0; i < 3; ++i) {
      std::uint32_t size = 0, offset = 0;
      std::uint16_t name = 0;
      std::memcpy(&size, good.data() + at + 20, sizeof size);
      std::memcpy(&name, good.data() + at + 28, sizeof name);
      std::memcpy(&offset, good.data() + at + 42, sizeof offset);
      const std::string other = le<std::uint16_t>(7) + le<std::uint16_t>(3) + "abc";
      const std::string extra = other + le<std::uint16_t>(1) + le<std::uint16_t>(24) +
                                le<std::uint64_t>(size) + le<std::uint64_t>(size) +
                                le<std::uint64_t>(i == 1 && lie ? lie : offset);
      entries += good.substr(at, 20) + no64 + no64 + le(name) + le(static_cast<std::uint16_t>(extra.size())) +
                 std::string(10, '\0') + no64 + good.substr(at + 46, name) + extra;
      at += 46u + name;
    }
    const auto end64 = static_cast<std::uint64_t>(out.size() + entries.size());
    out += entries + "PK\x06\x06" + le<std::uint64_t>(44) + std::string(12, '\0') + le<std::uint64_t>(3) +
           le<std::uint64_t>(3) + le<std::uint64_t>(entries.size()) + le<std::uint64_t>(directory);
    out += "PK\x06\x07" + std::string(4, '\0') + le(end64) + le<std::uint32_t>(1);
    return out + "PK\x05\x06" + std::string(4, '\0') + std::string(12, '\xff') + std::string(2, '\0');
  };
  CHECK(open_archive(write_bytes(folder / "x", with64(0))).tensor("w").values() ==
        std::vector<float>{1, 4, 2, 5});
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "x", with64(1))), "no record at byte");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "x", with64(std::uint64_t{1} << 40))),
                 "leave the file");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "x", with64(~std::uint64_t{0} - 9))),
                 "leave the file");
}

TEST_CASE("files cut off at every byte") {
  const Folder folder;
  const std::string st =
      safetensors(R"({"a":)" + kTensor + R"(,"__metadata__":{"k":"v"}})", std::string(8, '\1'));
  for (const std::string& whole : {st, read_bytes(fixture("nested.pth"))}) {
    REQUIRE(error_of_opening(write_bytes(folder / "x", whole)) == "no error");
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const std::string message = error_of_opening(write_bytes(folder / "x", whole.substr(0, n)));
      CAPTURE(n);
      CHECK(message != "no error");
      CHECK(contains(message, folder / "x"));
    }
  }
}

TEST_CASE("files with bytes changed at random") {
  const Folder folder;
  std::mt19937 random(1);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  const std::string st =
      safetensors(R"({"a":)" + kTensor +
                      R"(,"b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]},"__metadata__":{"k":"v"}})",
                  std::string(16, '\1'));
  release_cached();
  reset_peak();
  for (const std::string& whole : {st, read_bytes(fixture("plain.pth")), read_bytes(fixture("nested.pth")),
                                   pth(state_dict(tensor(1, {2, 2}, {1, 3})))})
    for (int round = 0; round < 3000; ++round) {
      std::string bad = whole;
      for (std::size_t k = 0; k <= below(4); ++k) {
        const std::size_t at = below(bad.size());
        switch (below(4)) {
          case 0:
            bad[at] = static_cast<char>(random());
            break;
          case 1:
            bad[at] = static_cast<char>(bad[at] ^ (1 << below(8)));
            break;
          case 2:
            bad[at] = "0123456789[]{},:\"\xff\x7f"[below(19)];
            break;
          default:
            bad.replace(at, below(9),
                        le(static_cast<std::uint64_t>(random()) << below(40)).substr(0, below(9)));
        }
      }
      read_everything(write_bytes(folder / "x", bad));
    }
  CHECK(memory_stats().peak < (1u << 20));
}
