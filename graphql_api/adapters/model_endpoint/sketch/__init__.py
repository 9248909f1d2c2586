"""The built-in renderer behind `sketch:`. It draws with numpy and is not a diffusion model."""
