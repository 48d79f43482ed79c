# SPDX-License-Identifier: GPL-2.0-or-later
# Bash completion for nexusctl.
_nexusctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-}
	local commands="status cover list up down revoke restore monitor reload genkey pubkey genpsk gensid"
	local words=""

	if ((COMP_CWORD == 1)); then
		words="$commands --help --version"
	elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == --@(timeout|interval) ]]; then
		return
	else
		case $command in
		status) words="--json --interval" ;;
		cover) words="--json" ;;
		up | down) words="--wait --timeout" ;;
		esac
		case $command in
		status | cover | up | down | revoke | restore)
			words+=" $(nexusctl list 2>/dev/null | while read -r name _; do echo "$name"; done)"
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _nexusctl nexusctl
