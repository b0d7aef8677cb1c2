package images

import (
	"debug/elf"
	"fmt"
)

// checkStatic refuses a binary that needs a loader, because the image has none.
func checkStatic(file string) error {
	binary, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("%s is not a Linux program: %w", file, err)
	}
	defer binary.Close()
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically, and the image holds nothing but this file: build it static (Go: CGO_ENABLED=0; Rust: target *-linux-musl, or -C target-feature=+crt-static)", file)
		}
	}
	return nil
}
