package main

import (
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	config "github.com/cert-manager/cert-manager/internal/apis/config/cainjector"
	configscheme "github.com/cert-manager/cert-manager/internal/apis/config/cainjector/scheme"
	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	versioned "github.com/cert-manager/cert-manager/pkg/apis/config/cainjector/v1alpha1"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
)

// The chart's role lets the injector have a lease of this name and no other.
const cainjectorLease = "cert-manager-cainjector-leader-election"

func cainjectorCommand() *cobra.Command {
	command := &cobra.Command{Use: "cainjector", Args: cobra.NoArgs}
	settings := &config.CAInjectorConfiguration{}
	scheme, _, err := configscheme.NewSchemeAndCodecs()
	if err == nil {
		err = defaults(scheme, &versioned.CAInjectorConfiguration{}, settings)
	}
	if err != nil {
		command.RunE = func(*cobra.Command, []string) error { return err }
		return command
	}
	lease := &settings.LeaderElectionConfig
	command.Flags().StringVar(&lease.Namespace, "leader-election-namespace", lease.Namespace, "namespace of the lease")
	command.Flags().StringVar(&settings.MetricsListenAddress, "metrics-listen-address", settings.MetricsListenAddress, "where metrics are served")
	logf.AddFlags(&settings.Logging, command.Flags())
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := logf.ValidateAndApply(&settings.Logging); err != nil {
			return err
		}
		return inject(command, settings)
	}
	return command
}

func inject(command *cobra.Command, settings *config.CAInjectorConfiguration) error {
	ctrl.SetLogger(logf.Log.WithName("cainjector"))
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientscheme.AddToScheme, certmanager.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	connection, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// The injectors apply under the name that the user agent begins with.
	connection = util.RestConfigWithUserAgent(connection)
	lease := settings.LeaderElectionConfig
	manager, err := ctrl.NewManager(connection, ctrl.Options{
		Scheme:                        scheme,
		LeaderElection:                true,
		LeaderElectionID:              cainjectorLease,
		LeaderElectionNamespace:       lease.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease.LeaseDuration,
		RenewDeadline:                 &lease.RenewDeadline,
		RetryPeriod:                   &lease.RetryPeriod,
		Metrics:                       metrics.Options{BindAddress: settings.MetricsListenAddress},
		// The injectors watch metadata of Secrets only, and read the few whole ones that they need.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
	if err != nil {
		return err
	}
	kinds := settings.EnableInjectableConfig
	err = cainjector.RegisterAllInjectors(command.Context(), manager, cainjector.SetupOptions{
		EnableCertificatesDataSource: settings.EnableDataSourceConfig.Certificates,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   kinds.MutatingWebhookConfigurations,
			cainjector.ValidatingWebhookConfigurationName: kinds.ValidatingWebhookConfigurations,
			cainjector.APIServiceName:                     kinds.APIServices,
			cainjector.CustomResourceDefinitionName:       kinds.CustomResourceDefinitions,
		},
	})
	if err != nil {
		return err
	}
	return manager.Start(command.Context())
}
