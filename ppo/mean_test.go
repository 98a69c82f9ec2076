package ppo

import "testing"

// The loss and its gradient of _compute_loss of GRPOTrainer of TRL 1.16, called with
// the tensors of twoAnswers in float64, the third place of the first answer masked:
// epsilon 0.2 and 0.28, delta 3, beta 0.5, max_completion_length 4; loss_type dapo,
// grpo and dr_grpo.
func TestMeansAreTRLs(t *testing.T) {
	for _, tt := range []struct {
		level, mean string
		loss        float64
		grad        []float64
	}{
		{TokenLevel, MeanToken, 1.4088402891205567, []float64{-0.10858049016431513, -0.053994352303040116, 0.7170702512540905, 0.16287073524647272, 0.29287029329004666}},
		{TokenLevel, MeanSequence, 1.0524555025115756, []float64{-0.1357256127053939, -0.06749294037880013, 0.597558542711742, 0.1357256127053939, 0.24405857774170558}},
		{TokenLevel, MeanConstant, 0.8805251807003479, []float64{-0.06786280635269695, -0.033746470189400066, 0.4481689070338065, 0.10179420952904546, 0.18304393330627916}},
		{SequenceLevel, MeanSequence, 0.8689426053166658, []float64{-0.16072680634767336, -0.25371228793069445, 0.523147379924149, 0.2451119145973853, 0.4201939547748082}},
		{SequenceLevel, MeanConstant, 0.7445912009138167, []float64{-0.08036340317383668, -0.12685614396534722, 0.39236053494311174, 0.183833935948039, 0.31514546608110616}},
	} {
		a, c := twoAnswers(), sequenceConfig(0.2, 0.28, "ratio-loss")
		c.ImportanceSamplingLevel, c.LossMean, c.MaxNew = tt.level, tt.mean, 4
		loss, grad := a.loss(t, backend(t), c)
		near(t, tt.level+", "+tt.mean, []float64{loss}, []float64{tt.loss})
		near(t, "gradient of "+tt.level+", "+tt.mean, grad, tt.grad)
	}
}
