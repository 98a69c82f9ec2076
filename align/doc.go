// Package align puts a command's job together: the settings become a model and data,
// these a trainer, and that a run folder.
//
// SFT, DPO, Reward, PPO and Pretrain train, each by a stage (stage.go) that opens the
// device, reads what is small, derives what the settings leave open and says so, then
// loads the model and hands the method to the loop. Rejection, Generate, Chat, Compare
// and Score answer and score without training; the Plan functions say what a run would
// take and run nothing.
//
// It prints nothing: what there is to say goes to an Environment. The loop is in
// internal/train, the methods in packages of their names, the folder of a run in
// internal/runfolder.
package align
