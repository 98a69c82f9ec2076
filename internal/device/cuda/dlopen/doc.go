// Package dlopen opens NVIDIA's libraries on Linux; it is empty where there is no
// binding to them.
package dlopen
