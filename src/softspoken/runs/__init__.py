"""What a training run puts together: data, backbone, prompts, development figures, the finished folder."""
