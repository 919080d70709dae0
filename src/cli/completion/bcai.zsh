#compdef bcai
# SPDX-License-Identifier: Apache-2.0
# zsh completion of bcai: source <(bcai completion zsh)
_bcai() {
  local -a answer
  answer=("${(@f)$(command bcai __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "${answer[1]}" == ":files" ]]; then
    _files
  else
    compadd -- ${answer:#}
  fi
}
if [[ "$funcstack[1]" == "_bcai" ]]; then
  _bcai "$@"
else
  compdef _bcai bcai
fi
