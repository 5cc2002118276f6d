#include "apps/iml/architectures.h"

#include "nets/sam/sam.h"
#include "nets/student/student.h"
#include "nets/tiny_vit/tiny_vit.h"

namespace bp {
namespace {

Params detached(Params params) {
  for (Param& p : params) p.tensor = nullptr;  // the net goes with the caller's scope
  return params;
}

}  // namespace

Params published_params(const Architecture& architecture) {
  switch (architecture.family) {
    case Architecture::Family::sam: {
      sam::Sam net(architecture.variant);
      return detached(net.params());
    }
    case Architecture::Family::tiny_vit: {
      tiny_vit::TinyVit net;
      Params params;
      net.collect(params);
      return detached(std::move(params));
    }
    case Architecture::Family::student: {
      student::Student net(student_parts(architecture));
      return detached(net.params());
    }
  }
  fail("no network for ", architecture.name());
}

bool is_buffer(std::string_view name) {
  return name.ends_with("running_mean") || name.ends_with("running_var") || name.ends_with("gaussian_matrix");
}

fusion::Parts student_parts(const Architecture& architecture) {
  require(architecture.family == Architecture::Family::student, architecture.name(), " is no student");
  const auto lacks = [&](const char* part) { return architecture.variant.find(part) != std::string::npos; };
  return {.gate = !lacks("no_gate"), .memory = !lacks("no_memory")};
}

Architecture student_architecture(const fusion::Parts& parts) {
  std::string variant = parts.gate ? "" : "no_gate";
  if (!parts.memory) variant += variant.empty() ? "no_memory" : "_no_memory";
  return {Architecture::Family::student, variant};
}

}  // namespace bp
