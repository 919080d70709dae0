# SPDX-License-Identifier: Apache-2.0
# bash completion of bcai: source <(bcai completion bash)
_bcai() {
  local current="${COMP_WORDS[COMP_CWORD]}" answer
  answer="$(command bcai __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)"
  COMPREPLY=()
  if [[ "$answer" == ":files" ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$answer" -- "$current")
  fi
}
complete -F _bcai bcai
