// Package mlflow posts a run's settings and metrics to an MLflow tracking server
// (https://mlflow.org/docs/latest/rest-api.html).
//
// Open starts a Run, Add queues metrics, Close sends what is left and ends the
// run. Nothing here waits for the server while a run trains, and no fault of it
// is an error: what cannot be sent is told through notes. The queue is bounded;
// the oldest metrics go first where a server stays away.
package mlflow
