package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// importLimit is far more than a disk needs for one image.
const importLimit = 2 * time.Minute

// Target is a container runtime that takes images.
type Target struct {
	Socket      string
	Snapshotter string
}

// Load makes the image and imports it everywhere, with the client of the
// bundle. Scratch is a folder for the archive.
func Load(client, scratch string, image Image, targets []Target) error {
	archive, err := os.CreateTemp(scratch, "devcluster-image-")
	if err != nil {
		return err
	}
	defer os.Remove(archive.Name())
	defer archive.Close()
	if err := image.Write(archive); err != nil {
		return err
	}
	results := make(chan error, len(targets))
	for _, target := range targets {
		go func() { results <- importArchive(client, archive.Name(), target) }()
	}
	var failed error
	for range targets {
		failed = errors.Join(failed, <-results)
	}
	if failed != nil {
		return fmt.Errorf("importing %s: %w", image.Name, failed)
	}
	return nil
}

func importArchive(client, archive string, target Target) error {
	ctx, cancel := context.WithTimeout(context.Background(), importLimit)
	defer cancel()
	command := exec.CommandContext(ctx, client, "--address="+target.Socket, "--namespace=k8s.io",
		"images", "import", "--snapshotter="+target.Snapshotter, archive)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}
