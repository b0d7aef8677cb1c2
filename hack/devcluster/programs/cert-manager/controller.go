package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/cert-manager/cert-manager/pkg/apis/certmanager"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/healthz"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// The chart's role lets the controller have a lease of this name and no other.
const controllerLease = "cert-manager-controller"

const (
	workers     = 5
	healthLimit = 20 * time.Second
)

var errLeaseLost = errors.New("the lease was lost")

// settings are what the chart sets; the rest stands in contextOptions.
type settings struct {
	leaseNamespace, resourceNamespace, solverImage, metrics, health string
	challenges                                                      int
}

func controllerCommand() *cobra.Command {
	command := &cobra.Command{Use: "controller", Args: cobra.NoArgs}
	flags, wanted, logging := command.Flags(), settings{}, logsapi.NewLoggingConfiguration()
	flags.StringVar(&wanted.leaseNamespace, "leader-election-namespace", "kube-system", "namespace of the lease")
	flags.StringVar(&wanted.resourceNamespace, "cluster-resource-namespace", "kube-system", "namespace of what cluster-wide issuers refer to")
	flags.StringVar(&wanted.solverImage, "acme-http01-solver-image", "", "image of HTTP-01 solvers")
	flags.IntVar(&wanted.challenges, "max-concurrent-challenges", 60, "challenges at a time")
	flags.StringVar(&wanted.metrics, "metrics-listen-address", "0.0.0.0:9402", "where metrics are served")
	flags.StringVar(&wanted.health, "healthz-listen-address", "0.0.0.0:9403", "where health is served")
	logf.AddFlags(logging, flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := logf.ValidateAndApply(logging); err != nil {
			return err
		}
		return control(command.Context(), wanted)
	}
	return command
}

// control serves metrics and health, and runs all controllers while it holds
// the lease. Whoever loses the lease ends, so that a cut connection to the API
// server shows as a restart.
func control(ctx context.Context, wanted settings) error {
	factory, err := controller.NewContextFactory(ctx, contextOptions(wanted))
	if err != nil {
		return err
	}
	own, err := factory.Build()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if err := serveMetrics(ctx, group, own, wanted.metrics); err != nil {
		return err
	}
	health := healthz.NewServer(healthLimit)
	listener, err := net.Listen("tcp", wanted.health)
	if err != nil {
		return err
	}
	group.Go(func() error { return health.Start(ctx, listener) })
	elector, err := newElector(own, wanted.leaseNamespace, health, func(ctx context.Context) {
		group.Go(func() error { return runAll(ctx, factory, own) })
	})
	if err != nil {
		return err
	}
	group.Go(func() error {
		elector.Run(ctx)
		if ctx.Err() == nil {
			return errLeaseLost
		}
		return nil
	})
	return group.Wait()
}

// contextOptions are upstream's defaults, written down here because the package
// that holds them imports the client of Venafi.
func contextOptions(wanted settings) controller.ContextOptions {
	return controller.ContextOptions{
		KubernetesAPIQPS:   20,
		KubernetesAPIBurst: 50,
		IssuerOptions: controller.IssuerOptions{
			ClusterResourceNamespace:        wanted.resourceNamespace,
			ClusterIssuerAmbientCredentials: true,
		},
		ACMEOptions: controller.ACMEOptions{
			HTTP01SolverImage:                 wanted.solverImage,
			HTTP01SolverResourceRequestCPU:    resource.MustParse("10m"),
			HTTP01SolverResourceRequestMemory: resource.MustParse("64Mi"),
			HTTP01SolverResourceLimitsCPU:     resource.MustParse("100m"),
			HTTP01SolverResourceLimitsMemory:  resource.MustParse("64Mi"),
			ACMEHTTP01SolverRunAsNonRoot:      true,
			DNS01CheckRetryPeriod:             10 * time.Second,
		},
		IngressShimOptions: controller.IngressShimOptions{
			DefaultIssuerKind:                 "Issuer",
			DefaultIssuerGroup:                certmanager.GroupName,
			DefaultAutoCertificateAnnotations: []string{"kubernetes.io/tls-acme"},
		},
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
		SchedulerOptions: controller.SchedulerOptions{MaxConcurrentChallenges: wanted.challenges},
	}
}

func serveMetrics(ctx context.Context, group *errgroup.Group, own *controller.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := own.Metrics.NewServer(listener)
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

func newElector(own *controller.Context, namespace string, health *healthz.Server, lead func(context.Context)) (*leaderelection.LeaderElector, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: controllerLease,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: controllerLease, Namespace: namespace},
			Client:     own.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host, EventRecorder: own.Recorder},
		},
		LeaseDuration:   60 * time.Second,
		RenewDeadline:   40 * time.Second,
		RetryPeriod:     15 * time.Second,
		ReleaseOnCancel: true,
		WatchDog:        health.LeaderHealthzAdaptor,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: lead,
			OnStoppedLeading: func() {},
		},
	})
}

// runAll starts every registered controller, and the informers that they asked
// for while they were made.
func runAll(ctx context.Context, factory *controller.ContextFactory, own *controller.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for name, construct := range controller.Known() {
		made, err := construct(factory)
		if err != nil {
			return err
		}
		group.Go(func() error {
			logf.Log.V(logf.InfoLevel).Info("starting", "controller", name)
			return made.Run(workers, ctx)
		})
	}
	own.SharedInformerFactory.Start(ctx.Done())
	own.KubeSharedInformerFactory.Start(ctx.Done())
	own.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return group.Wait()
}
