#include "weights/load.h"

#include <cstring>

#include "engine/ops.h"
#include "weights/safetensors.h"

namespace bp {
namespace {

constexpr std::size_t kSpelledOut = 20;

template <class T, class Write>
void list(std::string& out, const std::vector<T>& items, const char* title, const Write& write) {
  if (items.empty()) return;
  out += text(out.empty() ? "" : "; ", items.size(), " ", title, ": ");
  for (std::size_t i = 0; i < items.size() && i < kSpelledOut; ++i) out += (i ? ", " : "") + write(items[i]);
  if (items.size() > kSpelledOut) out += text(" and ", items.size() - kSpelledOut, " more");
}

Tensor copy_of(const Tensor& x) {
  Tensor y = empty_like(x);
  if (x.numel() > 0) std::memcpy(y.raw(), x.raw(), static_cast<std::size_t>(x.numel()) * size_of(x.dtype()));
  return y;
}

std::vector<PlannedTensor> plan(const Params& params, DType dtype) {
  require(dtype == DType::f32 || dtype == DType::bf16, "weights are written as f32 or bf16, not ",
          name_of(dtype));
  std::vector<PlannedTensor> planned;
  for (const Param& p : params)
    planned.push_back(
        {p.name, dtype == DType::bf16 && p.trained ? FileDType::BF16 : FileDType::F32, p.shape});
  return planned;
}

}  // namespace

std::string Mismatch::summary() const {
  std::string out;
  list(out, missing, "missing", [](const std::string& name) { return name; });
  list(out, wrong, "of wrong shape",
       [](const WrongShape& w) { return text(w.name, " ", w.found, " wanted ", w.wanted); });
  return out;
}

Mismatch compare(const Params& params, const Source& source) {
  Mismatch m;
  for (const Param& p : params) {
    const auto found = source.shape(p);
    if (!found) {
      m.missing.push_back(p.name);
    } else if (!(*found == p.shape)) {
      m.wrong.push_back({p.name, *found, p.shape});
    }
  }
  return m;
}

void require_complete(const Params& params, const Source& source) {
  const Mismatch m = compare(params, source);
  require(!m.any(), source.origin(), ": of ", params.size(), " parameters ", m.summary());
}

void load(const Params& params, const Source& source, const LoadOptions& options) {
  require(options.dtype == DType::f32 || options.dtype == DType::bf16, source.origin(), ": asked for as ",
          name_of(options.dtype), ", wanted f32 or bf16");
  require_complete(params, source);
  for (const Param& p : params) {
    const Tensor published = source.tensor(p);
    Tensor ours = to_ours(published, p.layout);
    const DType wanted = p.trained ? options.dtype : DType::f32;
    if (ours.dtype() != wanted) ours = cast(ours, wanted);
    *p.tensor = options.own && ours.same_storage(published) ? copy_of(ours) : ours;
  }
}

void save(const Params& params, const std::string& path, DType dtype,
          const std::map<std::string, std::string>& metadata) {
  write_safetensors(path, plan(params, dtype), metadata, [&](std::size_t i) {
    const Param& p = params[i];
    return to_published(p.tensor->detach(), p.shape, p.layout);
  });
}

void transfer(const Params& params, const Source& source, const std::string& path, DType dtype,
              const std::map<std::string, std::string>& metadata) {
  require_complete(params, source);
  write_safetensors(path, plan(params, dtype), metadata,
                    [&](std::size_t i) { return source.tensor(params[i]); });
}

}  // namespace bp
