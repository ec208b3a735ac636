package cluster

import "syscall"

// attributes keep Ctrl-C in the terminal from a program, and end it with us
// should we be killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
