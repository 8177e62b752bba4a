print("wch-sidecar")
