// charts prints what a Helm chart makes of values, without a cluster.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// version is that of the cluster for which charts are rendered.
const version = "v1.36.0"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: charts CHART NAME VALUES")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run prints the objects of a chart whose release and namespace have one name.
func run(folder, name, file string) error {
	chart, err := loader.Load(folder)
	if err != nil {
		return err
	}
	values, err := chartutil.ReadValuesFile(file)
	if err != nil {
		return err
	}
	if err := chartutil.ProcessDependenciesWithMerge(chart, values); err != nil {
		return err
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: version, Major: "1", Minor: "36"}
	release := chartutil.ReleaseOptions{Name: name, Namespace: name, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, release, capabilities)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(rendered))
	for template := range rendered {
		if strings.HasSuffix(template, ".yaml") {
			names = append(names, template)
		}
	}
	slices.Sort(names)
	for _, template := range names {
		parts := releaseutil.SplitManifests(rendered[template])
		order := slices.Collect(maps.Keys(parts))
		sort.Sort(releaseutil.BySplitManifestsOrder(order))
		for _, part := range order {
			fmt.Printf("---\n# %s\n%s\n", template, parts[part])
		}
	}
	return nil
}
