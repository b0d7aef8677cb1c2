// Command devcluster is a throw-away Kubernetes control plane in one binary:
// the upstream programs under their own names, and the commands that start,
// fill and end a cluster made of them.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/devcluster/internal/components"
)

func main() {
	if len(os.Args) > 1 {
		if code, known := components.Run(os.Args[1], os.Args[2:]); known {
			os.Exit(code)
		}
	}
	if err := rootCommand().Execute(); err != nil {
		code := exitCode(err)
		if code != exitUnfit {
			fmt.Fprint(os.Stderr, "error: ")
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(code)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "devcluster",
		Short:         "A throw-away Kubernetes control plane in one binary",
		Long:          "Also runs as: " + strings.Join(components.Names(), ", ") + ".",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), downCommand(), restartAPIServerCommand(), populateCommand(),
		loadImageCommand(), restartNodePartCommand(), deniedCommand(),
		networkCommand(), forwardCommand(), nodeCommand(), nodeAgentCommand(), nodeTrialCommand())
	return root
}
