#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "tests/weights_common.h"
#include "weights/safetensors.h"

using namespace bp;
using namespace weights_test;

namespace {

std::vector<float> ramp(std::size_t n, float start = 0) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = start + 0.5f * static_cast<float>(i);
  return out;
}

bool lies_in(const Tensor& t, const Archive& archive, const std::string& name) {
  return t.raw() == archive.at(name).data;
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, aligned and in place") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  const Tensor f = from_values({2, 3}, ramp(6)), b = from_values({3}, ramp(3, -1), DType::bf16);
  Tensor i = empty({2}, DType::i32), u = empty({5}, DType::u8);
  i.data<std::int32_t>()[0] = 7, i.data<std::int32_t>()[1] = -8;
  for (u8 k = 0; k < 5; ++k) u.data<u8>()[k] = static_cast<u8>(250 + k);
  const Tensor scalar = from_values({}, ramp(1, 2.5f)), none = empty({0, 3});
  const std::vector<Tensor> values{u, b, f, i, scalar, none, f};
  const std::vector<PlannedTensor> plan{{"u", FileDType::U8, {5}},
                                        {"b", FileDType::BF16, {3}},
                                        {"f", FileDType::F32, {2, 3}},
                                        {"i", FileDType::I32, {2}},
                                        {"s", FileDType::F32, {}},
                                        {"n", FileDType::F32, {0, 3}},
                                        {"f as bf16", FileDType::BF16, {2, 3}}};
  write_safetensors(path, plan, {{"note", "a \"quoted\" line\n"}}, [&](std::size_t k) { return values[k]; });

  const Archive a = open_archive(path);
  CHECK(a.format() == "safetensors");
  CHECK(a.metadata().at("note") == "a \"quoted\" line\n");
  CHECK(a.entries().size() == plan.size());
  for (const char* name : {"f", "b", "i", "u", "s"}) CHECK(lies_in(a.tensor(name), a, name));
  CHECK(a.tensor("f").shape() == Shape{2, 3});
  CHECK(a.tensor("f").values() == ramp(6));
  CHECK(a.tensor("b").dtype() == DType::bf16);
  CHECK(a.tensor("b").values() == ramp(3, -1));
  CHECK(a.integers("i") == std::vector<i64>{7, -8});
  CHECK(a.tensor("i").dtype() == DType::i32);
  CHECK(a.integers("u") == std::vector<i64>{250, 251, 252, 253, 254});
  CHECK(a.tensor("s").item() == 2.5f);
  CHECK(a.tensor("n").numel() == 0);
  CHECK(a.tensor("f as bf16").values() == ramp(6));

  std::uint64_t header = 0;
  std::memcpy(&header, read_bytes(path).data(), sizeof header);
  CHECK((header + 8) % 64 == 0);
  CHECK(folder.files() == 1);
}

TEST_CASE("a tensor's pages leave the resident set with its last handle, contents stay") {
  const Folder folder;
  constexpr i64 kNumbers = i64{1} << 21, kSize = 4 * kNumbers;
  constexpr std::size_t kWhole = kSize, kAround = kWhole / 4 * 3;  // a neighbour may bring in 2 MiB at once
  const std::vector<float> values = ramp(kNumbers);
  const std::string each(reinterpret_cast<const char*>(values.data()), kWhole);
  const auto entry = [](const char* name, const char* type, i64 n, i64 begin, i64 bytes) {
    return text("\"", name, "\":{\"dtype\":\"", type, "\",\"shape\":[", n, "],\"data_offsets\":[", begin, ",",
                begin + bytes, "]},");
  };
  const std::string header =
      "{" + entry("a", "F32", kNumbers, 0, kSize) + entry("b", "F32", kNumbers, kSize, kSize) +
      entry("half", "F16", 2 * kNumbers, 2 * kSize, kSize) + entry("byte", "U8", 1, 3 * kSize, 1) +
      entry("odd", "F32", kNumbers, 3 * kSize + 1, kSize) + "\"__metadata__\":{}}";
  const std::string aligned = header + std::string(8 - header.size() % 8, ' ');
  const Archive archive =
      open_archive(write_bytes(folder / "x", safetensors(aligned, each + each + each + "!" + each)));
  const auto resident = [&] { return resident_around(archive.at("a").data).value_or(0); };

  const Tensor a = archive.tensor("a");
  Tensor b = archive.tensor("b"), again = archive.tensor("b"), part = b.slice(1, 3);
  CHECK(lies_in(b, archive, "b"));
  CHECK(a.values() == values);
  CHECK(b.values() == values);
  const std::size_t both = resident();
  if (both < 2 * kWhole) {
    MESSAGE("the system does not tell what is resident: not tested");
    return;
  }
  b = again = {};
  CHECK(part.values() == ramp(2, 0.5f));
  CHECK(archive.tensor("b").values() == values);
  part = {};
  const std::size_t one = resident();
  CHECK(one < both - kWhole + kAround);
  CHECK(a.values() == values);

  CHECK(archive.tensor("odd").values() == values);
  CHECK(resident() < one + kAround);
  CHECK(archive.tensor("half").numel() == 2 * kNumbers);
  CHECK(resident() < one + kAround);
}

TEST_CASE("only a file's own bytes can be held") {
  const Folder folder;
  const auto file = MappedFile::open(write_bytes(folder / "x", std::string(10000, 'x')));
  const ByteSpan all = file->bytes();
  CHECK(MappedFile::hold(file, all.last(1)).get() == all.data() + 9999);
  CHECK_NOTHROW(MappedFile::hold(file, {}));
  for (const ByteSpan part : {ByteSpan(all.data() - 1, 2), ByteSpan(all.data() + 9999, 2)})
    CHECK_CONTAINS(error_of([&] { MappedFile::hold(file, part); }), "x: asked to hold bytes");
}

TEST_CASE("safetensors: other types, and data that do not lie aligned") {
  const Folder folder;
  const std::string data = std::string("\x01") + le<std::uint16_t>(0x3e00) + le<std::uint16_t>(0xc000) +
                           le<i64>(-(i64{1} << 40)) + le(0.75) + le(1.25f);
  const Archive a = open_archive(
      write_bytes(folder / "x", safetensors(R"({"bool":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},)"
                                            R"("half":{"dtype":"F16","shape":[2],"data_offsets":[1,5]},)"
                                            R"("long":{"dtype":"I64","shape":[1],"data_offsets":[5,13]},)"
                                            R"("double":{"dtype":"F64","shape":[],"data_offsets":[13,21]},)"
                                            R"("float":{"dtype":"F32","shape":[1],"data_offsets":[21,25]}})",
                                            data)));
  CHECK(a.tensor("half").dtype() == DType::f32);
  CHECK(a.tensor("half").values() == std::vector<float>{1.5f, -2.0f});
  CHECK(a.integers("long") == std::vector<i64>{-(i64{1} << 40)});
  CHECK(a.integers("bool") == std::vector<i64>{1});
  CHECK(a.tensor("double").item() == 0.75f);
  CHECK(a.tensor("float").item() == 1.25f);
  CHECK_FALSE(lies_in(a.tensor("float"), a, "float"));
  CHECK_CONTAINS(error_of([&] { a.tensor("long"); }), "'long' is I64");
  CHECK_CONTAINS(error_of([&] { a.integers("half"); }), "'half' is F16, wanted integers");
  CHECK_CONTAINS(error_of([&] { a.tensor("absent"); }), "no tensor 'absent'");
}

TEST_CASE("a tensor keeps the mapped file alive, also when the file is replaced") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  const auto write = [&](float start) {
    write_safetensors(path, {{"w", FileDType::F32, {4}}}, {},
                      [&](std::size_t) { return from_values({4}, ramp(4, start)); });
  };
  write(0);
  const Tensor old = open_archive(path).tensor("w");
  write(10);
  CHECK(old.values() == ramp(4));
  CHECK(open_archive(path).tensor("w").values() == ramp(4, 10));
}

TEST_CASE("safetensors: a failed write leaves nothing behind and the old file alone") {
  const Folder folder;
  const std::string path = write_bytes(folder / "x.safetensors", "old");
  const std::vector<PlannedTensor> plan{{"w", FileDType::F32, {1 << 16}}};
  const auto value = [](std::size_t) { return zeros({1 << 16}); };

  SUBCASE("when the value is of another shape") {
    CHECK_CONTAINS(
        error_of([&] { write_safetensors(path, plan, {}, [](std::size_t) { return zeros({2}); }); }),
        "'w' is [2], planned [65536]");
  }
  SUBCASE("when the system takes no more bytes, as on a full disk") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{4096, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const std::string message = error_of([&] { write_safetensors(path, plan, {}, value); });
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    std::signal(SIGXFSZ, handler);
    CHECK_CONTAINS(message, "cannot be written");
  }
  SUBCASE("when a name is used twice") {
    CHECK_CONTAINS(error_of([&] { write_safetensors(path, {plan[0], plan[0]}, {}, value); }), "'w' twice");
  }
  SUBCASE("when metadata are not text") {
    CHECK_CONTAINS(error_of([&] { write_safetensors(path, plan, {{"a", "\xff"}}, value); }), "UTF-8");
  }
  CHECK(read_bytes(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("what cannot be opened or replaced is named") {
  const Folder folder;
  CHECK_CONTAINS(error_of_opening(folder / "absent"), "absent: cannot be opened: No such file");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "empty", "")), "empty: is empty");
  CHECK_CONTAINS(error_of_opening(folder / "."), "is a folder");
  CHECK_CONTAINS(error_of_opening("/dev/null"), "not a regular file");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "text.pth", "hello, world")), "unknown format");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "page.pth", "<!DOCTYPE html><html>")), "web page");
  CHECK_CONTAINS(
      error_of_opening(write_bytes(folder / "lfs.pth", "version https://git-lfs.github.com/spec/v1")),
      "git lfs pull");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "p.pth", "\x80\x02}.")), "bare pickle");
  CHECK_CONTAINS(error_of_opening(write_bytes(folder / "tar.pth", std::string(257, 'x') + "ustar  ")),
                 "legacy");
  CHECK_CONTAINS(error_of([] { OutputFile("/dev/null"); }), "not replaced");
  CHECK_CONTAINS(error_of([&] { OutputFile(folder / "no/folder"); }), "cannot be written");
}

TEST_CASE("pth: every type, shared and strided storages, Parameters") {
  const Archive a = open_archive(fixture("plain.pth"));
  CHECK(a.format() == "PyTorch");
  REQUIRE(a.entries().size() == 16);
  CHECK(a.entries()[0].name == "plain");
  CHECK(a.entries()[15].name == "parameter");
  CHECK(a.tensor("plain").values() == ramp(6));
  CHECK(lies_in(a.tensor("plain"), a, "plain"));
  CHECK(a.tensor("half").dtype() == DType::f32);
  CHECK(a.tensor("half").values() == ramp(5, -1));
  CHECK(a.tensor("brain").dtype() == DType::bf16);
  CHECK(a.tensor("brain").values() == ramp(3, -1));
  CHECK(a.tensor("double").values() == ramp(2));
  CHECK(a.integers("long") == std::vector<i64>{1, -2, i64{1} << 40});
  CHECK(a.integers("int") == std::vector<i64>{7, -8});
  CHECK(a.integers("byte") == std::vector<i64>{0, 255});
  CHECK(a.integers("bool") == std::vector<i64>{1, 0, 1});
  CHECK(a.tensor("scalar").shape() == Shape{});
  CHECK(a.tensor("scalar").item() == 2.5f);
  CHECK(a.tensor("none").shape() == Shape{0, 3});
  CHECK(a.tensor("parameter").values() == ramp(4));

  CHECK(a.tensor("whole").values() == ramp(24));
  CHECK(a.at("column").data == a.at("whole").data + 2 * sizeof(float));
  const auto at = [](int row, int column) { return 0.5f * static_cast<float>(row * 6 + column); };
  const Tensor transposed = a.tensor("transposed"), block = a.tensor("block");
  CHECK(transposed.shape() == Shape{6, 4});
  for (int r = 0; r < 6; ++r)
    for (int c = 0; c < 4; ++c) CHECK(transposed.values()[static_cast<std::size_t>(r * 4 + c)] == at(c, r));
  CHECK(a.tensor("column").values() == std::vector<float>{at(0, 2), at(1, 2), at(2, 2), at(3, 2)});
  CHECK(block.values() == std::vector<float>{at(1, 2), at(1, 3), at(1, 4), at(2, 2), at(2, 3), at(2, 4)});
  CHECK(a.tensor("expanded").values() == std::vector<float>(4, 0.0f));
}

TEST_CASE("pth: the state dict is found among other values, from other writers too") {
  for (const char* name : {"nested.pth", "repacked.pth", "data_parallel.pth"}) {
    CAPTURE(name);
    const Archive a = open_archive(fixture(name));
    const std::string prefix = name == std::string("data_parallel.pth") ? "module." : "";
    REQUIRE(a.entries().size() == 7);
    CHECK(a.at(prefix + "0.weight").shape == Shape{2, 1, 3, 3});
    CHECK(a.tensor(prefix + "0.weight").values() == ramp(18));
    CHECK(a.tensor(prefix + "0.bias").values() == ramp(2, 1));
    CHECK(a.tensor(prefix + "1.bias").values() == ramp(2, 3));
    CHECK(a.integers(prefix + "1.num_batches_tracked") == std::vector<i64>{0});
  }
}

TEST_CASE("pth: what is not a state dict is refused with the reason") {
  CHECK_CONTAINS(error_of_opening(fixture("os_system.pth")),
                 "pickle names posix.system; only tensors of a state dict are read");
  CHECK_CONTAINS(error_of_opening(fixture("module.pth")),
                 "pickle names torch.nn.modules.container.Sequential");
  CHECK_CONTAINS(error_of_opening(fixture("legacy.pth")), "torch.save(torch.load(");
  CHECK_CONTAINS(error_of_opening(fixture("compressed.pth")), "data.pkl' is compressed");
  CHECK_CONTAINS(error_of_opening(fixture("big_endian.pth")), "byte order 'big', wanted little");
  CHECK_CONTAINS(error_of_opening(fixture("torchscript.pth")), "TorchScript");
  CHECK_CONTAINS(error_of_opening(fixture("list.pth")), "no dict");
  CHECK_CONTAINS(error_of_opening(fixture("no_tensors.pth")), "no tensors");
  CHECK_FALSE(std::filesystem::exists("executed"));
}
