package main

import (
	"github.com/spf13/cobra"

	"github.com/cert-manager/cert-manager/internal/webhook"
	// The feature gates of the webhook.
	_ "github.com/cert-manager/cert-manager/internal/webhook/feature"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
)

func webhookCommand() *cobra.Command {
	command := &cobra.Command{Use: "webhook", Args: cobra.NoArgs}
	config, err := options.NewWebhookConfiguration()
	if err != nil {
		command.RunE = func(*cobra.Command, []string) error { return err }
		return command
	}
	options.AddConfigFlags(command.Flags(), config)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := logf.ValidateAndApply(&config.Logging); err != nil {
			return err
		}
		server, err := webhook.NewCertManagerWebhookServer(logf.Log.WithName("webhook"), *config)
		if err != nil {
			return err
		}
		return server.Run(command.Context())
	}
	return command
}
