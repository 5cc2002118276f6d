#include "weights/pth.h"

#include <algorithm>
#include <array>

#include "weights/pickle.h"
#include "weights/zip.h"

namespace bp {
namespace {

using pickle::Value;
using Kind = Value::Kind;

struct StorageType {
  std::string_view name;
  FileDType dtype;
};
constexpr StorageType kStorages[] = {
    {"torch.FloatStorage", FileDType::F32},     {"torch.HalfStorage", FileDType::F16},
    {"torch.BFloat16Storage", FileDType::BF16}, {"torch.DoubleStorage", FileDType::F64},
    {"torch.LongStorage", FileDType::I64},      {"torch.IntStorage", FileDType::I32},
    {"torch.ShortStorage", FileDType::I16},     {"torch.CharStorage", FileDType::I8},
    {"torch.ByteStorage", FileDType::U8},       {"torch.BoolStorage", FileDType::BOOL},
};
constexpr std::string_view kTensor = "torch._utils._rebuild_tensor_v2",
                           kParameter = "torch._utils._rebuild_parameter",
                           kParameterWithState = "torch._utils._rebuild_parameter_with_state";
// Beside the tensors, training scripts save their options and scores. As nothing is executed these are
// harmless.
constexpr std::string_view kHarmless[] = {
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "argparse.Namespace",
    "yacs.config.CfgNode",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
};

bool is_known(std::string_view global) {
  return global == kTensor || global == kParameter || global == kParameterWithState ||
         std::find(std::begin(kHarmless), std::end(kHarmless), global) != std::end(kHarmless) ||
         std::any_of(std::begin(kStorages), std::end(kStorages),
                     [&](const auto& s) { return s.name == global; });
}

bool is_call(const Value& v, std::string_view callee) {
  return v.kind == Kind::call && v.callee->text == callee;
}

// The tensor inside its Parameters; nullptr if it is none. A Parameter of itself ends at the bound.
const Value* as_tensor(const Value* v) {
  for (int depth = 0; depth < 4; ++depth) {
    if (is_call(*v, kTensor)) return v;
    if (!(is_call(*v, kParameter) || is_call(*v, kParameterWithState)) || v->arguments->items.empty())
      return nullptr;
    v = v->arguments->items[0];
  }
  return nullptr;
}

const Value* find_dict(const Value& dict, std::string_view key) {
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2)
    if (dict.items[i]->kind == Kind::text && dict.items[i]->text == key &&
        dict.items[i + 1]->kind == Kind::dict)
      return dict.items[i + 1];
  return nullptr;
}

const Value& find_state_dict(const std::string& path, const Value& root) {
  require(root.kind == Kind::dict, path, ": the pickle holds no dict, wanted a state dict");
  const Value* dict = &root;
  for (int depth = 0; depth < 4; ++depth) {
    const Value* inner = nullptr;
    for (std::string_view key : {"model", "state_dict", "model_state_dict"})
      if (!inner) inner = find_dict(*dict, key);
    if (!inner) break;
    dict = inner;
  }
  return *dict;
}

Shape integers(const std::string& what, const Value& v) {
  const Value& tuple =
      is_call(v, "torch.Size") && v.arguments->items.size() == 1 ? *v.arguments->items[0] : v;
  require(tuple.kind == Kind::tuple && tuple.items.size() <= static_cast<std::size_t>(Shape::kMaxRank), what,
          ": its shape or stride is no tuple of at most ", Shape::kMaxRank);
  Shape out;
  for (const Value* item : tuple.items) {
    require(item->kind == Kind::integer && item->integer >= 0, what,
            ": a size or stride is negative or no integer");
    out.push_back(item->integer);
  }
  return out;
}

class Reader {
 public:
  explicit Reader(const MappedFile& file)
      : path_(file.path()), file_size_(static_cast<i64>(file.bytes().size())) {
    for (const ZipRecord& r : read_zip(path_, file.bytes())) records_.emplace(r.name, r.data);
  }

  std::vector<Entry> read() {
    const ByteSpan pkl = find_pickle();
    if (const auto order = records_.find(folder_ + "byteorder"); order != records_.end())
      require(as_text(order->second) == "little", path_, ": byte order '", printable(as_text(order->second)),
              "', wanted little");
    const pickle::Document document = pickle::read(path_, pkl, is_known);
    const Value& dict = find_state_dict(path_, *document.root);
    std::vector<Entry> entries;
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2)
      if (const Value* tensor = as_tensor(dict.items[i + 1]); tensor && dict.items[i]->kind == Kind::text)
        entries.push_back(entry(std::string(dict.items[i]->text), *tensor));
    require(!entries.empty(), path_,
            ": no tensors in it; wanted a state dict, at the top or under 'model' or 'state_dict'");
    return entries;
  }

 private:
  static std::string_view as_text(ByteSpan bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  ByteSpan find_pickle() {
    constexpr std::string_view kName = "data.pkl";
    for (const auto& [name, data] : records_) {
      const std::size_t slash = name.find('/');
      if (slash == std::string_view::npos || name.substr(slash + 1) != kName) continue;
      folder_ = name.substr(0, slash + 1);
      require(!records_.count(folder_ + "constants.pkl"), path_,
              ": a TorchScript program; wanted a state dict: torch.save(model.state_dict(), 'x.pth')");
      return data;
    }
    fail(path_, ": a zip, but without PyTorch's data.pkl");
  }

  // _rebuild_tensor_v2(storage, offset, size, stride, ...), with storage ("storage", type, key, device,
  // elements)
  Entry entry(std::string name, const Value& tensor) {
    const std::string what = text(path_, ": tensor '", printable(name), "'");
    const auto& args = tensor.arguments->items;
    require(args.size() >= 4 && args[0]->kind == Kind::persistent && args[1]->kind == Kind::integer, what,
            ": damaged description");
    const Value& id = *args[0]->items[0];
    require(id.kind == Kind::tuple && id.items.size() >= 5 && id.items[1]->kind == Kind::global &&
                id.items[2]->kind == Kind::text,
            what, ": damaged storage");
    const auto type = std::find_if(std::begin(kStorages), std::end(kStorages),
                                   [&](const auto& s) { return s.name == id.items[1]->text; });
    require(type != std::end(kStorages), what, ": storage of ", printable(id.items[1]->text));
    const auto record = records_.find(text(folder_, "data/", id.items[2]->text));
    require(record != records_.end(), what, ": its storage '", printable(id.items[2]->text),
            "' is not in the file");

    Entry e{std::move(name), type->dtype, integers(what, *args[2]), integers(what, *args[3]), nullptr};
    const i64 offset = args[1]->integer, size = size_of(e.dtype);
    e.data = record->second.data() +
             checked_offset(what, e, offset, static_cast<i64>(record->second.size())) * size;
    return e;
  }

  // The offset of the first element, after checking that first and last lie in a storage of so many bytes.
  i64 checked_offset(const std::string& what, const Entry& e, i64 offset, i64 bytes) const {
    require(e.shape.rank() == e.strides.rank(), what, ": shape ", e.shape, " with strides ", e.strides);
    const i64 elements = checked_numel(what, e.shape), size = size_of(e.dtype);
    if (elements == 0) return 0;
    i64 last = offset;
    bool fits = offset >= 0;
    for (int axis = 0; axis < e.shape.rank(); ++axis) {
      i64 reach = 0;
      fits = fits && !__builtin_mul_overflow(e.shape[axis] - 1, e.strides[axis], &reach) &&
             !__builtin_add_overflow(last, reach, &last);
    }
    require(fits && last < bytes / size, what, ": shape ", e.shape, " with strides ", e.strides,
            " from element ", offset, " leaves its storage of ", bytes / size);
    // Strides of 0 can repeat one element without end.
    require(elements <= file_size_ / size, what, ": ", e.shape, " is larger than the whole file");
    return offset;
  }

  const std::string& path_;
  i64 file_size_;
  std::map<std::string, ByteSpan, std::less<>> records_;
  std::string folder_;
};

}  // namespace

Archive read_pth(std::shared_ptr<const MappedFile> file) {
  std::vector<Entry> entries = Reader(*file).read();
  return Archive(std::move(file), "PyTorch", std::move(entries));
}

}  // namespace bp
