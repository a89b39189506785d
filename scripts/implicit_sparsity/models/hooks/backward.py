"""Watch the backward pass: what reaches the outputs of modules. Shapes: B sequences, S positions."""

from contextlib import ExitStack, contextmanager


@contextmanager
def module_gradients(modules: dict, observe):
    """Show the gradient [B, S, out] that reaches the output of named modules, ``observe(name, g)``, once for
    each backward pass. A module whose output needs no gradient is not shown."""
    with ExitStack() as stack:
        for name, module in modules.items():

            def hook(_, args, output, name=name):
                if output.requires_grad:
                    output.register_hook(lambda g: observe(name, g))

            stack.callback(module.register_forward_hook(hook).remove)
        yield
