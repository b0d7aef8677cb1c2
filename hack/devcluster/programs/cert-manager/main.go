// cert-manager: its controller, webhook and cainjector in one program, which
// starts what the upstream module holds. The flags are those that its chart
// passes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

func main() {
	logf.InitLogs()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	root := &cobra.Command{Use: "cert-manager", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(controllerCommand(), webhookCommand(), cainjectorCommand())
	err := root.ExecuteContext(logf.NewContext(ctx, logf.Log))
	stop()
	logf.FlushLogs()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
