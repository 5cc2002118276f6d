// PyTorch's zip format (torch.save since 1.6): <folder>/data.pkl describes the tensors of a state dict, the
// records <folder>/data/<key> hold their storages.
#pragma once
#include "weights/archive.h"

namespace bp {

// The tensors of the state dict, at the top of the pickle or nested under `model`, `state_dict` or
// `model_state_dict`. Storages may be shared and strided. Values that are no tensors are left out. Throws
// Error for what read_zip() and pickle::read() refuse, for globals that no state dict needs, big-endian
// files, and tensors that leave their storage.
Archive read_pth(std::shared_ptr<const MappedFile> file);

}  // namespace bp
