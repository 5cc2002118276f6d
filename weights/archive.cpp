#include "weights/archive.h"

#include <algorithm>
#include <array>

#include "kernels/threads.h"
#include "weights/pth.h"
#include "weights/safetensors.h"

namespace bp {
namespace {

struct TypeInfo {
  FileDType dtype;
  const char* name;
  i64 size;
};
constexpr TypeInfo kTypes[] = {
    {FileDType::F64, "F64", 8},   {FileDType::F32, "F32", 4},         {FileDType::F16, "F16", 2},
    {FileDType::BF16, "BF16", 2}, {FileDType::F8_E5M2, "F8_E5M2", 1}, {FileDType::F8_E4M3, "F8_E4M3", 1},
    {FileDType::I64, "I64", 8},   {FileDType::I32, "I32", 4},         {FileDType::I16, "I16", 2},
    {FileDType::I8, "I8", 1},     {FileDType::U64, "U64", 8},         {FileDType::U32, "U32", 4},
    {FileDType::U16, "U16", 2},   {FileDType::U8, "U8", 1},           {FileDType::BOOL, "BOOL", 1},
};

const TypeInfo& info(FileDType dtype) {
  return kTypes[static_cast<std::size_t>(dtype)];
}

// out[i] = convert(element i), elements in row-major order wherever they lie.
template <class From, class To, class Convert>
void gather(const Entry& e, To* out, const Convert& convert) {
  const int rank = e.shape.rank();
  const i64 inner = rank ? e.shape[-1] : 1, step = rank ? e.strides[-1] : 1;
  const i64 rows = inner ? e.shape.numel() / inner : 0;
  parallel_for(rows, std::max<i64>(1, 65536 / std::max<i64>(1, inner)), [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      i64 offset = 0, rest = row;
      for (int axis = rank - 2; axis >= 0; --axis) {
        offset += rest % e.shape[axis] * e.strides[axis];
        rest /= e.shape[axis];
      }
      for (i64 i = 0; i < inner; ++i) {
        From value;  // by memcpy: files do not promise alignment
        std::memcpy(&value, e.data + (offset + i * step) * static_cast<i64>(sizeof(From)), sizeof value);
        out[row * inner + i] = convert(value);
      }
    }
  });
}

template <class From>
Tensor shared_or_gathered(const Entry& e, DType dtype, std::shared_ptr<const void> pages) {
  if (e.contiguous() && reinterpret_cast<std::uintptr_t>(e.data) % alignof(From) == 0)
    return from_memory(e.shape, dtype, e.data, std::move(pages));
  Tensor out = empty(e.shape, dtype);
  gather<From>(e, static_cast<From*>(out.raw()), [](From x) { return x; });
  return out;
}

template <class From, class Convert>
Tensor converted(const Entry& e, const Convert& convert) {
  Tensor out = empty(e.shape);
  gather<From>(e, out.data<float>(), convert);
  return out;
}

template <class From>
std::vector<i64> as_integers(const Entry& e) {
  std::vector<i64> out(static_cast<std::size_t>(e.shape.numel()));
  gather<From>(e, out.data(), [](From x) { return static_cast<i64>(x); });
  return out;
}

bool starts_with(ByteSpan bytes, std::string_view magic, std::size_t offset = 0) {
  return bytes.size() >= offset + magic.size() &&
         std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

// What people hand in by mistake, and what to do about it.
[[noreturn]] void refuse_unknown(const std::string& path, ByteSpan bytes) {
  struct Known {
    std::string_view magic;
    std::size_t offset;
    const char* message;
  };
  constexpr const char* kResave =
      "legacy PyTorch file (from before 1.6); save it again with a newer PyTorch: "
      "torch.save(torch.load('old.pth', map_location='cpu'), 'new.pth')";
  static constexpr std::array<Known, 7> kKnown{{
      {"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19", 0, kResave},
      {"ustar", 257, kResave},
      {"version https://git-lfs", 0, "Git LFS pointer, not the file itself; fetch it with: git lfs pull"},
      {"<!DOCTYPE", 0, "web page, not a checkpoint; download it again"},
      {"<html", 0, "web page, not a checkpoint; download it again"},
      {"\x80", 0, "bare pickle; wanted the zip file that torch.save(model.state_dict(), 'x.pth') writes"},
      {"GGUF", 0, "GGUF file; wanted safetensors or a PyTorch .pth"},
  }};
  for (const Known& k : kKnown)
    if (starts_with(bytes, k.magic, k.offset)) fail(path, ": ", k.message);
  fail(path, ": unknown format; wanted safetensors or a PyTorch .pth (zip)");
}

}  // namespace

const char* name_of(FileDType dtype) {
  return info(dtype).name;
}
i64 size_of(FileDType dtype) {
  return info(dtype).size;
}
std::optional<FileDType> file_dtype(std::string_view name) {
  for (const TypeInfo& t : kTypes)
    if (name == t.name) return t.dtype;
  return std::nullopt;
}

Shape dense_strides(const Shape& shape) {
  Shape strides = shape;
  i64 step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

i64 checked_numel(const std::string& what, const Shape& shape) {
  i64 n = 1;  // zeros left out, so that the strides of an empty tensor do not overflow either
  for (i64 d : shape)
    require(d >= 0 && !__builtin_mul_overflow(n, std::max<i64>(d, 1), &n), what, ": impossible shape ",
            shape);
  return shape.numel();
}

bool Entry::contiguous() const {
  if (shape.numel() == 0) return true;
  const Shape dense = dense_strides(shape);
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] > 1 && strides[axis] != dense[axis]) return false;
  return true;
}

ByteSpan Entry::bytes() const {
  if (shape.numel() == 0) return {data, 0};
  i64 last = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) last += (shape[axis] - 1) * strides[axis];
  return {data, static_cast<std::size_t>((last + 1) * size_of(dtype))};
}

Archive::Archive(std::shared_ptr<const MappedFile> file, std::string format, std::vector<Entry> entries,
                 std::map<std::string, std::string> metadata)
    : file_(std::move(file)),
      format_(std::move(format)),
      entries_(std::move(entries)),
      metadata_(std::move(metadata)) {
  for (std::size_t i = 0; i < entries_.size(); ++i)
    require(index_.emplace(entries_[i].name, i).second, path(), ": two tensors named '",
            printable(entries_[i].name), "'");
}

const Entry* Archive::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second];
}

const Entry& Archive::at(const std::string& name) const {
  const Entry* e = find(name);
  require(e != nullptr, path(), ": no tensor '", printable(name), "'");
  return *e;
}

Tensor Archive::tensor(const std::string& name) const {
  const Entry& e = at(name);
  const auto pages = MappedFile::hold(file_, e.bytes());
  switch (e.dtype) {
    case FileDType::F32:
      return shared_or_gathered<float>(e, DType::f32, pages);
    case FileDType::BF16:
      return shared_or_gathered<bf16>(e, DType::bf16, pages);
    case FileDType::I32:
      return shared_or_gathered<std::int32_t>(e, DType::i32, pages);
    case FileDType::U8:
    case FileDType::BOOL:
      return shared_or_gathered<u8>(e, DType::u8, pages);
    case FileDType::F16:
      return converted<std::uint16_t>(e, half_to_f32);
    case FileDType::F64:
      return converted<double>(e, [](double x) { return static_cast<float>(x); });
    default:
      fail(path(), ": '", printable(name), "' is ", name_of(e.dtype), ", which no tensor here holds");
  }
}

std::vector<i64> Archive::integers(const std::string& name) const {
  const Entry& e = at(name);
  const auto pages = MappedFile::hold(file_, e.bytes());
  switch (e.dtype) {
    case FileDType::I64:
      return as_integers<i64>(e);
    case FileDType::I32:
      return as_integers<std::int32_t>(e);
    case FileDType::I16:
      return as_integers<std::int16_t>(e);
    case FileDType::I8:
      return as_integers<std::int8_t>(e);
    case FileDType::U32:
      return as_integers<std::uint32_t>(e);
    case FileDType::U16:
      return as_integers<std::uint16_t>(e);
    case FileDType::U8:
    case FileDType::BOOL:
      return as_integers<u8>(e);
    default:
      fail(path(), ": '", printable(name), "' is ", name_of(e.dtype), ", wanted integers");
  }
}

Archive open_archive(const std::string& path) {
  auto file = MappedFile::open(path);
  const ByteSpan bytes = file->bytes();
  if (starts_with(bytes, "PK\x03\x04") || starts_with(bytes, "PK\x05\x06")) return read_pth(std::move(file));
  if (starts_with(bytes, "{", 8)) return read_safetensors(std::move(file));
  refuse_unknown(path, bytes);
}

}  // namespace bp
