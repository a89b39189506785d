"""See or change the gradients of parameters on their way, before anything adds them up or clips them."""

from contextlib import ExitStack, contextmanager


@contextmanager
def weight_gradients(weights: dict, observe):
    """Show the whole gradient of each named weight, ``observe(name, gradient)``, and drop it at once.

    Frozen weights require a gradient meanwhile, and no more than one such gradient is held at a time.
    """
    with ExitStack() as stack:
        for name, weight in weights.items():

            def hook(weight, name=name):
                observe(name, weight.grad)
                weight.grad = None

            stack.callback(weight.requires_grad_, weight.requires_grad)
            weight.requires_grad_(True)
            stack.callback(weight.register_post_accumulate_grad_hook(hook).remove)
        yield


@contextmanager
def masked_gradients(pairs):
    """Multiply the gradients of parameters with masks that broadcast to them, [(parameter, mask)].

    Before clipping, so that what is masked does not shrink the rest of a step.
    """
    with ExitStack() as stack:
        for parameter, mask in pairs:

            def hook(gradient, mask=mask):
                return gradient * mask

            stack.callback(parameter.register_hook(hook).remove)
        yield
