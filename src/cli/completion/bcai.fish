# SPDX-License-Identifier: Apache-2.0
# fish completion of bcai: bcai completion fish | source
function __bcai_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l answer (command bcai __complete $words[2..-1] 2>/dev/null)
  if test "$answer[1]" = ":files"
    __fish_complete_path (commandline -ct)
  else
    printf '%s\n' $answer
  end
end
complete -c bcai -f -a '(__bcai_complete)'
