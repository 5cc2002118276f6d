#include "weights/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "engine/ops.h"

namespace bp {
namespace {

constexpr std::uint64_t kLongestHeader = 100'000'000;  // as the reference reader has it
constexpr std::size_t kAlignment = 64;
constexpr const char* kMetadata = "__metadata__";

// The header as a stream of JSON events: nothing is built but the entries themselves, nesting is refused
// where it begins, and the text's size bounds the memory.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const std::string& path, ByteSpan data) : path_(path), data_(data) {}

  std::vector<Entry> entries;
  std::vector<std::uint64_t> begins;  // data_offsets[0] of each entry
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    require(where_ == Where::start || where_ == Where::tensor || where_ == Where::metadata, path_, bad(), "'",
            printable(key_), "' holds an object");
    require(++depth_ <= 2, path_, bad(), "objects are nested too deep");
    if (where_ == Where::start) where_ = Where::root;
    if (depth_ == 2 && where_ == Where::tensor) {
      entries.push_back({});
      entries.back().name = name_;
      seen_dtype_ = seen_shape_ = false;
      offsets_.clear();
    }
    return true;
  }
  bool end_object() override {
    if (depth_-- == 2 && where_ != Where::metadata) finish_tensor();
    where_ = Where::root;
    return true;
  }
  bool key(std::string& key) override {
    key_ = key;
    if (depth_ == 1) {
      name_ = key;
      where_ = key == kMetadata ? Where::metadata : Where::tensor;
      require(where_ != Where::metadata || !std::exchange(seen_metadata_, true), path_, bad(), kMetadata,
              " twice");
    } else if (where_ == Where::metadata) {
      require(!metadata.count(key), path_, bad(), "metadata '", printable(key), "' twice");
    } else {
      where_ = key == "dtype"          ? Where::dtype
               : key == "shape"        ? Where::shape
               : key == "data_offsets" ? Where::offsets
                                       : Where::tensor;
      require(where_ != Where::tensor, path_, bad(), "tensor '", printable(name_), "' has a field '",
              printable(key), "'");
    }
    return true;
  }
  bool string(std::string& value) override {
    if (where_ == Where::metadata && depth_ == 2) {
      metadata[key_] = value;
      return true;
    }
    require(where_ == Where::dtype && !seen_dtype_, path_, bad(), "a text at '", printable(key_), "'");
    const auto dtype = file_dtype(value);
    require(dtype.has_value(), path_, ": tensor '", printable(name_), "' has unknown dtype '",
            printable(value), "'");
    entries.back().dtype = *dtype;
    seen_dtype_ = true;
    return true;
  }
  bool start_array(std::size_t) override {
    const bool fresh =
        (where_ == Where::shape && !seen_shape_) || (where_ == Where::offsets && offsets_.empty());
    require(fresh && !in_array_, path_, bad(), "a list at '", printable(key_), "'");
    return in_array_ = true;
  }
  bool end_array() override {
    if (where_ == Where::shape) seen_shape_ = true;
    require(where_ != Where::offsets || offsets_.size() == 2, path_, bad(), "tensor '", printable(name_),
            "' has ", offsets_.size(), " data_offsets, wanted 2");
    in_array_ = false;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    require(in_array_, path_, bad(), "a number at '", printable(key_), "'");
    if (where_ == Where::offsets) {
      require(offsets_.size() < 2, path_, bad(), "tensor '", printable(name_),
              "' has more than 2 data_offsets");
      offsets_.push_back(value);
    } else {
      Shape& shape = entries.back().shape;
      require(shape.rank() < Shape::kMaxRank, path_, ": tensor '", printable(name_), "' has more than ",
              Shape::kMaxRank, " axes");
      require(value <= static_cast<std::uint64_t>(INT64_MAX), path_, ": tensor '", printable(name_),
              "' has an axis of ", value);
      shape.push_back(static_cast<i64>(value));
    }
    return true;
  }
  bool number_integer(number_integer_t value) override {
    fail(path_, bad(), value, " at '", printable(key_), "'");
  }
  bool number_float(number_float_t, const string_t& s) override {
    fail(path_, bad(), printable(s), " at '", printable(key_), "'");
  }
  bool null() override { fail(path_, bad(), "null at '", printable(key_), "'"); }
  bool boolean(bool) override { fail(path_, bad(), "a boolean at '", printable(key_), "'"); }
  bool binary(binary_t&) override { fail(path_, bad(), "binary at '", printable(key_), "'"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(path_, bad(), "not valid JSON at byte ", position + 8);
  }

 private:
  enum class Where { start, root, metadata, tensor, dtype, shape, offsets };
  static const char* bad() { return ": bad safetensors header: "; }

  void finish_tensor() {
    Entry& e = entries.back();
    const std::string what = text(path_, ": tensor '", printable(e.name), "'");
    require(seen_dtype_ && seen_shape_ && offsets_.size() == 2, what, " lacks dtype, shape or data_offsets");
    const i64 elements = checked_numel(what, e.shape);
    i64 wanted = 0;
    require(!__builtin_mul_overflow(elements, size_of(e.dtype), &wanted), what, ": impossible shape ",
            e.shape);
    require(offsets_[0] <= offsets_[1] && offsets_[1] <= data_.size(), what, " at bytes ", offsets_[0],
            " to ", offsets_[1], " of ", data_.size());
    require(offsets_[1] - offsets_[0] == static_cast<std::uint64_t>(wanted), what, " of ", name_of(e.dtype),
            " ", e.shape, " has ", offsets_[1] - offsets_[0], " bytes, wanted ", wanted);
    e.strides = dense_strides(e.shape);
    e.data = data_.data() + offsets_[0];
    begins.push_back(offsets_[0]);
  }

  const std::string& path_;
  ByteSpan data_;
  Where where_ = Where::start;
  int depth_ = 0;
  std::string name_, key_;
  bool in_array_ = false, seen_metadata_ = false, seen_dtype_ = false, seen_shape_ = false;
  std::vector<std::uint64_t> offsets_;
};

void require_gapless(const std::string& path, const HeaderReader& header, std::uint64_t size) {
  std::vector<std::size_t> order(header.entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto bytes = [&](std::size_t i) {
    return static_cast<std::uint64_t>(header.entries[i].shape.numel() * size_of(header.entries[i].dtype));
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(header.begins[a], bytes(a)) < std::pair(header.begins[b], bytes(b));
  });
  std::uint64_t end = 0;
  for (std::size_t i : order) {
    require(header.begins[i] == end, path, ": tensor '", printable(header.entries[i].name),
            "' begins at byte ", header.begins[i], " of the data, ",
            header.begins[i] < end ? "inside the one before it" : "after a gap", " (wanted ", end, ")");
    end += bytes(i);
  }
  require(end == size, path, ": ", size - end, " bytes after the last tensor");
}

std::string header_text(const std::vector<PlannedTensor>& tensors, const std::vector<std::size_t>& order,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t at = 0;
  for (std::size_t i : order) {
    const PlannedTensor& t = tensors[i];
    require(t.name != kMetadata && !header.contains(t.name), "safetensors: tensor name '", printable(t.name),
            "' twice or reserved");
    const auto bytes = static_cast<std::uint64_t>(t.shape.numel() * size_of(t.dtype));
    header[t.name] = {{"dtype", name_of(t.dtype)},
                      {"shape", std::vector<i64>(t.shape.begin(), t.shape.end())},
                      {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string json = header.dump();
  while ((json.size() + 8) % kAlignment != 0) json += ' ';
  return json;
}

DType tensor_dtype(const PlannedTensor& planned) {
  switch (planned.dtype) {
    case FileDType::F32:
      return DType::f32;
    case FileDType::BF16:
      return DType::bf16;
    case FileDType::I32:
      return DType::i32;
    case FileDType::U8:
      return DType::u8;
    default:
      fail("safetensors: '", planned.name, "' planned as ", name_of(planned.dtype), ", which is not written");
  }
}

}  // namespace

Archive read_safetensors(std::shared_ptr<const MappedFile> file) {
  const std::string& path = file->path();
  Cursor cursor(file->bytes(), path);
  const auto length = cursor.number<std::uint64_t>();
  require(length <= cursor.remaining(), path, ": truncated, or not safetensors: a header of ", length,
          " bytes in a file of ", file->bytes().size());
  require(length <= kLongestHeader, path, ": a header of ", length, " bytes, wanted at most ",
          kLongestHeader);
  const std::string_view json = cursor.text(length);
  const ByteSpan data = cursor.take(cursor.remaining());

  HeaderReader header(path, data);
  nlohmann::json::sax_parse(json.begin(), json.end(), &header);
  require_gapless(path, header, data.size());
  return Archive(std::move(file), "safetensors", std::move(header.entries), std::move(header.metadata));
}

void write_safetensors(const std::string& path, const std::vector<PlannedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<Tensor(std::size_t i)>& value) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(tensors[a].dtype) > size_of(tensors[b].dtype);
  });

  std::string header;
  try {
    header = header_text(tensors, order, metadata);
  } catch (const nlohmann::json::exception&) {
    fail(path, ": names and metadata must be UTF-8");
  }
  OutputFile out(path);
  const std::uint64_t length = header.size();
  out.write(&length, sizeof length);
  out.write(header.data(), header.size());
  for (std::size_t i : order) {
    const PlannedTensor& planned = tensors[i];
    Tensor t = to(value(i), {});
    require(t.shape() == planned.shape, path, ": '", planned.name, "' is ", t.shape(), ", planned ",
            planned.shape);
    if (const DType wanted = tensor_dtype(planned); t.dtype() != wanted) t = cast(t, wanted);
    out.write(t.raw(), static_cast<std::size_t>(t.numel()) * size_of(t.dtype()));
  }
  out.commit();
}

}  // namespace bp
