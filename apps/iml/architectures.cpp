#include "apps/iml/architectures.h"

#include "nets/sam/sam.h"
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
  }
  fail("no network for ", architecture.name());
}

}  // namespace bp
