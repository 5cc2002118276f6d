"""Our side: a boxprompt-peer process per network."""
import os
import subprocess
import sys
import tempfile

import tensors


class Ours:
    variant = ""

    def __init__(self, binaries, case, weights, dtype, threads):
        self.case = case
        self.process = subprocess.Popen([os.path.join(binaries, "boxprompt-peer"), case.net, weights, str(threads), dtype],
                                        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            tensors.write(file.name, case.inputs())
            self.ask("batch " + file.name)

    def ask(self, line):
        """What it answers: the seconds that the command took."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("run.py: boxprompt-peer ended at: " + line)
        return float(answer)

    def run(self):
        return self.ask("step" if self.case.training else "forward")

    def outputs(self):
        """By name; of a training step with the gradients."""
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            self.ask(("gradients " if self.case.training else "outputs ") + file.name)
            return tensors.read(file.name)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
