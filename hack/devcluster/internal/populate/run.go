package populate

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"bulkhead.dev/devcluster/internal/facts"
)

// task is one piece of work; pieces of the same stage run in any order.
type task func(context.Context) error

// stage is done before the next one begins.
type stage struct {
	name  string
	tasks []task
}

// Run fills the cluster and prints what it created and how long it took.
func Run(ctx context.Context, options Options, out io.Writer) error {
	if err := options.check(); err != nil {
		return err
	}
	file := &facts.File{}
	if options.Platform == PlatformOpenShift {
		var err error
		if file, err = facts.Load(options.Facts); err != nil {
			return err
		}
	}
	plans, err := makePlan(options, file)
	if err != nil {
		return err
	}
	c, err := newClients(options.Kubeconfig)
	if err != nil {
		return err
	}
	started := time.Now()
	// Services come after their pods: every slice is then written once.
	stages := []stage{
		{"namespaces", c.foundation(options, plans)},
		{"workloads and policies", c.content(options, plans)},
		{"services", c.services(plans)},
	}
	for _, stage := range stages {
		begun := time.Now()
		if err := runAll(ctx, options.Workers, stage.tasks); err != nil {
			return err
		}
		fmt.Fprintf(out, "%-24s %6.1f s\n", stage.name, time.Since(begun).Seconds())
	}
	c.report(out, time.Since(started))
	return nil
}

func runAll(ctx context.Context, workers int, tasks []task) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, each := range tasks {
		group.Go(func() error { return each(ctx) })
	}
	return group.Wait()
}

// foundation is what everything else refers to.
func (c *clients) foundation(options Options, plans []namespacePlan) []task {
	var tasks []task
	if options.Platform == PlatformOpenShift {
		for _, object := range platformObjects(options) {
			tasks = append(tasks, func(ctx context.Context) error { return c.createPlatform(ctx, object, options) })
		}
	}
	for _, n := range clusterNodes() {
		tasks = append(tasks, func(ctx context.Context) error {
			_, err := c.createNode(ctx, n)
			return err
		})
	}
	for _, plan := range plans {
		tasks = append(tasks, func(ctx context.Context) error { return c.createNamespace(ctx, plan) })
	}
	return tasks
}

func (c *clients) content(options Options, plans []namespacePlan) []task {
	tasks := []task{c.createKubernetesEndpoints}
	for _, plan := range plans {
		for _, workload := range plan.workloads {
			tasks = append(tasks, func(ctx context.Context) error { return c.createWorkload(ctx, &workload) })
		}
		for _, owned := range plan.policies {
			tasks = append(tasks, func(ctx context.Context) error { return c.applyPolicy(ctx, owned) })
		}
	}
	if options.Awkward {
		tasks = append(tasks, c.createUnfitPods, c.createTerminating)
	}
	return tasks
}

func (c *clients) services(plans []namespacePlan) []task {
	var tasks []task
	for _, plan := range plans {
		tasks = append(tasks, func(ctx context.Context) error { return c.createServices(ctx, plan) })
	}
	return tasks
}

func (c *clients) report(out io.Writer, elapsed time.Duration) {
	kinds := maps.Clone(c.created)
	maps.Copy(kinds, c.found)
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		total += c.created[kind]
		fmt.Fprintf(out, "%-24s %6d created %6d there before\n", kind, c.created[kind], c.found[kind])
	}
	fmt.Fprintf(out, "%d objects created in %.1f s\n", total, elapsed.Seconds())
}
