#include "apps/boxprompt/cli.h"

int main(int argc, char** argv) {
  return bp::app::run(argc, argv);
}
