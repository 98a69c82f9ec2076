package align

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"align/datasets"
	"align/internal/jsonfile"
	"align/internal/runfolder"
	"align/internal/tokenizer"
	"align/internal/train"
)

// chooseTemplate is datasets.ChooseTemplate, but that auto is the template that the
// adapter's run was trained with, or the base where that is a run: prompts of another
// form are answered, scored and trained on otherwise. A folder without a run's state
// does not say.
func chooseTemplate(ctx context.Context, choice, base, adapter string, tok *tokenizer.Tokenizer) (*datasets.Template, string, error) {
	t, reason, err := datasets.ChooseTemplate(choice, tok)
	if choice != "auto" && choice != "" {
		return t, reason, err
	}
	run, trained := adapter, adapterTemplate(ctx, adapter)
	if trained == "" {
		run, trained = base, trainedTemplate(base)
	}
	if trained == "" || err == nil && t.Name() == trained {
		return t, reason, err
	}
	if t, err = datasets.NewTemplate(trained, tok); err != nil {
		return nil, "", fmt.Errorf("%w: %s was trained with it, --template names another", err, run)
	}
	return t, run + " was trained with it", nil
}

// adapterTemplate is the template that the run of an adapter was trained with; "" where
// there is none, or it does not say.
func adapterTemplate(ctx context.Context, adapter string) string {
	return adapterSetting(ctx, adapter, "template")
}

// trainedTemplate is that of a checkpoint's folder.
func trainedTemplate(folder string) string { return trainedSetting(folder, "template") }

// adapterSetting is a setting that the run of an adapter was trained with; "" where
// there is no adapter, or it does not say.
func adapterSetting(ctx context.Context, adapter, key string) string {
	if adapter == "" {
		return ""
	}
	folder, err := runfolder.TrainedUntil(ctx, adapter)
	if err != nil {
		return "" // who reads the adapter tells what is wrong with it
	}
	return trainedSetting(folder, key)
}

// trainedSetting is that of a checkpoint's folder.
func trainedSetting(folder, key string) string {
	text, err := os.ReadFile(filepath.Join(folder, train.StateFile))
	if err != nil {
		return ""
	}
	var s train.State
	if jsonfile.Unmarshal(text, &s) != nil {
		return ""
	}
	return s.Lineage["setting "+key]
}
