// boxprompt weights: look into checkpoints, bring them to one format, make procedural ones.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/boxprompt/cli.h"
#include "apps/iml/architectures.h"
#include "weights/load.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;

// What `inspect` finds out before it prints it in one way or the other.
struct Report {
  ArchiveSource source;
  std::optional<Architecture> architecture;
  std::string not_recognised;  // the reason where there is no architecture
  i64 parameters = 0;          // of the architecture, counted as papers do: without buffers
  Mismatch mismatch;
  std::vector<std::string> left_over;
  std::map<std::string, std::string> published;  // by name in the file

  explicit Report(const std::string& path) : source(open_archive(path)) {
    for (const auto& [name, file] : source.keys().files) published[file] = name;
    try {
      architecture = recognise(source);
    } catch (const Error& e) {
      not_recognised = e.what();
      return;
    }
    const Params params = published_params(*architecture);
    for (const Param& p : params)
      if (!is_buffer(p.name)) parameters += p.shape.numel();
    mismatch = compare(params, source);
    left_over = source.left_over(params);
  }
};

std::string megabytes(std::size_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / 1e6 << " MB";
  return out.str();
}

Json to_json(const Report& r) {
  const Archive& archive = r.source.archive();
  Json tensors = Json::array(), wrong = Json::array();
  for (const Entry& e : archive.entries()) {
    const auto published = r.published.find(e.name);
    tensors.push_back({{"name", e.name},
                       {"published", published == r.published.end() ? Json() : Json(published->second)},
                       {"dtype", name_of(e.dtype)},
                       {"shape", std::vector<i64>(e.shape.begin(), e.shape.end())}});
  }
  for (const auto& w : r.mismatch.wrong)
    wrong.push_back({{"name", w.name},
                     {"found", std::vector<i64>(w.found.begin(), w.found.end())},
                     {"wanted", std::vector<i64>(w.wanted.begin(), w.wanted.end())}});
  return {{"file", archive.path()},
          {"format", archive.format()},
          {"names", r.source.keys().dialect},
          {"architecture", r.architecture ? Json(r.architecture->name()) : Json()},
          {"parameters", r.parameters},
          {"bytes", archive.bytes()},
          {"complete", r.architecture && !r.mismatch.any()},
          {"missing", r.mismatch.missing},
          {"wrong_shape", wrong},
          {"left_over", r.left_over},
          {"unused", r.source.keys().unused},
          {"metadata", archive.metadata()},
          {"tensors", tensors}};
}

void print_names(const char* title, const std::vector<std::string>& names) {
  std::cout << std::left << std::setw(14) << title << (names.empty() ? "none" : std::to_string(names.size()))
            << '\n';
  for (const std::string& name : names) std::cout << "  " << printable(name) << '\n';
}

void print_table(const Report& r) {
  const Archive& archive = r.source.archive();
  std::size_t width = 4;
  for (const Entry& e : archive.entries()) width = std::max(width, printable(e.name).size());
  for (const Entry& e : archive.entries()) {
    std::cout << std::left << std::setw(static_cast<int>(width) + 2) << printable(e.name) << std::setw(6)
              << name_of(e.dtype) << e.shape;
    if (const auto it = r.published.find(e.name); it != r.published.end() && it->second != e.name)
      std::cout << "  -> " << printable(it->second);
    std::cout << '\n';
  }
  std::cout << '\n'
            << "file          " << archive.path() << " (" << archive.format() << ", "
            << megabytes(archive.bytes()) << ", " << archive.entries().size() << " tensors, "
            << r.source.keys().dialect << " names)\n";
  for (const auto& [key, value] : archive.metadata())
    std::cout << "metadata      " << printable(key) << ": " << printable(value) << '\n';
  if (!r.architecture) {
    std::cout << "architecture  not recognised\n";
    return;
  }
  std::cout << "architecture  " << r.architecture->name() << ", " << r.parameters << " parameters\n";
  print_names("missing", r.mismatch.missing);
  std::vector<std::string> wrong;
  for (const auto& w : r.mismatch.wrong) wrong.push_back(text(w.name, " ", w.found, ", wanted ", w.wanted));
  print_names("wrong shape", wrong);
  print_names("left over", r.left_over);
  print_names("unused here", r.source.keys().unused);
}

void inspect(const std::string& path, bool json) {
  const Report report(path);
  if (json)
    std::cout << to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  else
    print_table(report);
  std::cout.flush();
  require(report.architecture.has_value(), report.not_recognised);
  require(!report.mismatch.any(), path, ": incomplete ", report.architecture->name(), ": ",
          report.mismatch.summary());
}

void write(const Architecture& architecture, const Source& source, const std::string& out,
           const std::string& dtype, std::map<std::string, std::string> metadata) {
  const Params params = published_params(architecture);
  metadata["architecture"] = architecture.name();
  metadata["format"] = "pt";  // asked for by the transformers library
  transfer(params, source, out, dtype == "bf16" ? DType::bf16 : DType::f32, metadata);
  std::cout << out << ": " << architecture.name() << ", " << params.size() << " tensors, " << dtype << ", "
            << megabytes(MappedFile::open(out)->bytes().size()) << '\n';
}

void convert(const std::string& in, const std::string& out, const std::string& dtype) {
  const ArchiveSource source(open_archive(in));
  const Architecture architecture = recognise(source);
  write(architecture, source, out, dtype, source.archive().metadata());
  for (const std::string& name : source.left_over(published_params(architecture)))
    std::cout << "not written, no part of " << architecture.name() << ": " << printable(name) << '\n';
}

void make(const std::string& name, const std::string& out, const std::string& salt,
          const std::string& dtype) {
  write(architecture_named(name), ProceduralSource(salt), out, dtype,
        {{"weights", "procedural"}, {"salt", salt}});
}

struct Options {
  std::string file, out, architecture, salt, dtype = "f32";
  bool json = false;
};

}  // namespace

void add_weights(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* weights =
      app.add_subcommand("weights", "Look into checkpoints, convert them, make procedural ones");
  weights->require_subcommand(1);
  weights->footer(
      "A checkpoint is a PyTorch .pth (the zip format of torch.save) or a safetensors file, with the names "
      "of\n"
      "segment-anything, MobileSAM, Microsoft's TinyViT, Hugging Face's SamModel or timm. Format, names and\n"
      "architecture are told from the content; every command that takes weights takes any of them.\n"
      "Known architectures: " +
      architecture_names());

  CLI::App* look =
      weights->add_subcommand("inspect", "List tensors, the architecture, and what is missing or left over");
  look->add_option("FILE", o->file, "A .pth or safetensors file")->required();
  look->add_flag("--json", o->json, "Print one JSON object instead of a table");
  look->footer(
      "The exit code is 0 if the file holds every parameter of a known architecture.\n"
      "Example:\n  boxprompt weights inspect sam_vit_b_01ec64.pth");
  look->callback([o] { inspect(o->file, o->json); });

  const auto add_dtype = [&](CLI::App* command) {
    command->add_option("--dtype", o->dtype, "Type of the values written")
        ->check(CLI::IsMember({"f32", "bf16"}))
        ->capture_default_str();
  };
  CLI::App* conv =
      weights->add_subcommand("convert", "Write a checkpoint as safetensors with the official names");
  conv->add_option("IN", o->file, "A .pth or safetensors file")->required();
  conv->add_option("OUT", o->out, "The safetensors file to write")->required();
  add_dtype(conv);
  conv->footer(
      "bf16 halves the file, at about three significant digits per weight.\n"
      "Example:\n  boxprompt weights convert sam_vit_h_4b8939.pth sam_vit_h.bf16.safetensors --dtype bf16");
  conv->callback([o] { convert(o->file, o->out, o->dtype); });

  CLI::App* mk =
      weights->add_subcommand("make", "Write procedural weights: noise that any program can compute");
  mk->add_option("ARCH", o->architecture, "One of " + architecture_names())->required();
  mk->add_option("OUT", o->out, "The safetensors file to write")->required();
  mk->add_option("--salt", o->salt, "Other text, other values")->capture_default_str();
  add_dtype(mk);
  mk->footer(
      "Such a net runs like the real one but has learned nothing: for tests, benchmarks and comparing "
      "programs.\n"
      "Example:\n  boxprompt weights make sam_vit_b sam_vit_b.procedural.safetensors");
  mk->callback([o] { make(o->architecture, o->out, o->salt, o->dtype); });
}

}  // namespace bp::app
