"""Names of other libraries, and what to write here instead.

Whoever comes from PyTorch, JAX, Keras, HIPS autograd or micrograd types names from there. Each table
belongs to one owner of attributes, which looks into it and raises an AttributeError with the spelling
that works here. Code in backticks runs; the tests run it. A name that is in no table gets
the nearest name that exists.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from autobp.primitive import NUMPY

__all__ = [
    "AT",
    "CPU",
    "DATA",
    "KEYWORDS",
    "MODULE",
    "NN",
    "OPTIM",
    "PACKAGE",
    "TENSOR",
    "TRAIN",
    "AbsentError",
    "absent_from_module",
    "check_set_to_none",
    "checks_keywords",
    "foreign_keyword",
]

F = TypeVar("F", bound=Callable[..., Any])
Table = Mapping[str, str]


def _table(*rows: tuple[str, str]) -> dict[str, str]:
    """A row has one or more names, and what to write instead of each."""
    return {name: instead for names, instead in rows for name in names.split()}


CPU = "everything runs on the CPU: leave it out"
_COPY = "`t.astype(np.float32)`"
_NEW = "a Tensor is not changed in place: "
_UPDATE = "`p.data[...] = value`, or `p -= step` under `no_grad()`"

# fmt: off
TENSOR = _table(
    # PyTorch: shapes
    ("view view_as reshape_as resize resize_ unflatten",   "`t.reshape(shape)`"),
    ("unsqueeze expand_dims",                              "`np.expand_dims(t, axis)` or `t[:, None]`"),
    ("unsqueeze_ squeeze_ t_ transpose_",                  _NEW + "`np.expand_dims(t, axis)`, `np.squeeze(t)`, `t.T`"),
    ("expand expand_as broadcast_to",                      "`np.broadcast_to(t, shape_of_more)`"),
    ("permute movedim",                                    "`t.transpose(axes)`"),
    ("t H adjoint",                                        "`t.T` or `t.mT`"),
    ("numel nelement",                                     "`t.size`"),
    ("dim ndimension rank",                                "`t.ndim`"),
    ("len length",                                         "`len(t)`"),
    ("tile",                                               "`np.tile(t, 2)`"),
    ("split chunk unbind tensor_split",                    "`np.split(t, 2)` or `list(t)`"),
    ("narrow select index_select",                         "`np.take(t, indices, axis)` or `t[:, 0:2]`"),
    ("gather take_along_dim",                              "`np.take_along_axis(t, places, axis=1)`"),
    ("cat concat concatenate hstack vstack",               "`np.concatenate([t, t])`"),
    ("stack",                                              "`np.stack([t, t])`"),
    ("flip fliplr flipud",                                 "`np.flip(t, axis)`"),
    # PyTorch: values
    ("masked_fill",                                        "`np.where(mask, value, t)`"),
    ("masked_select",                                      "`t[mask]`"),
    ("scatter index_put index_copy masked_scatter",        "`t.at[i].set(value)`"),
    ("scatter_add index_add",                              "`t.at[i].add(value)`"),
    ("clamp clamp_min clamp_max clip_by_value",            "`np.clip(t, low, high)`"),
    ("clone",                                              "`t.copy()`"),
    ("data_ptr storage untyped_storage",                   "the array is `t.data`"),
    ("contiguous is_contiguous",                           "NumPy copies where it has to: leave it out"),
    ("mm bmm mv mul_matrix",                               "`t @ W`"),
    ("add sub subtract mul multiply div divide true_divide", "an operator, `a + b`, `a - b`, `a * b`, `a / b`"),
    ("pow",                                                "`t ** n`"),
    ("neg negative",                                       "`-t`"),
    ("rsqrt",                                              "`1 / np.sqrt(t)`"),
    ("eq ne lt gt le ge",                                  "an operator, `a == b`, `a < b`, `a >= b`"),
    ("norm",                                               "`np.linalg.norm(t)`"),
    ("inverse det logdet",                                 "`np.linalg.inv(W)`, `np.linalg.det(W)`, `np.linalg.slogdet(W)[1]`"),
    ("topk kthvalue",                                      "`np.sort(t)[..., -n:]`"),
    ("amax amin",                                          "`t.max(axis)` or `t.min(axis)`"),
    ("softmax log_softmax logsumexp",                      "`softmax(t, axis=-1)`, `log_softmax(t)`, `logsumexp(t)`"),
    ("leaky_relu softplus",                                "`leaky_relu(t)`, `softplus(t)`"),
    ("logical_not",                                        "`~(a < b)`"),
    # PyTorch: kinds and devices
    ("float single",                                       _COPY),
    ("double",                                             "`t.astype(np.float64)`"),
    ("half bfloat16",                                      "`t.astype(np.float16)`"),
    ("long int short byte bool",                           "a Tensor holds floats; a constant of integers is `t.numpy().astype(int)`"),
    ("type type_as",                                       _COPY),
    ("to",                                                 _COPY + "; for devices, " + CPU),
    ("cuda cpu device is_cuda get_device pin_memory",      CPU),
    ("element_size itemsize",                              "`t.dtype.itemsize`"),
    ("new_zeros new_ones new_full new_tensor new_empty",   "`np.zeros(shape, t.dtype)`"),
    # PyTorch: in place
    ("zero_ fill_ copy_ set_ normal_ uniform_",            "`t.data[...] = value` for a parameter; else " + "`np.full(shape, value)`"),
    ("add_ sub_ mul_ div_ addcmul_ addcdiv_ lerp_ clamp_", _UPDATE),
    ("masked_fill_ scatter_ scatter_add_ index_add_ index_fill_ index_copy_", _NEW + "`t.at[i].set(value)` or `t.at[i].add(value)`"),
    # PyTorch: derivatives
    ("requires_grad_",                                     "`t.requires_grad = True`"),
    ("detach_",                                            "`t.detach()`"),
    ("grad_fn",                                            "`t.primitive`, and `t.args`"),
    ("retains_grad",                                       "`t.retain_grad()`"),
    ("zero_grad",                                          "`t.grad = None`"),
    # JAX
    ("block_until_ready",                                  "results are there when a call returns: leave it out"),
    ("aval weak_type",                                     "`t.shape`, `t.dtype`"),
    # Keras and TensorFlow
    ("assign",                                      "`t.data = value_of_its_shape`"),
    ("assign_add assign_sub",                              _UPDATE),
    ("get_shape",                                          "`t.shape`"),
    # pandas and xarray
    ("values to_numpy array",                              "the value as a constant is `t.numpy()`"),
    # micrograd and other small engines
    ("_prev parents children",              "`t.args`, or all of the graph: `graph(t)`"),
    ("_op op",                                             "`t.primitive`, or its name in `graph(t)`"),
    ("_backward gradient_fn backward_fn",                  "`custom(f, vjp=rule)` gives a function a rule of your own"),
    ("null_grad null_gradients clear_graph",               "`t.grad = None`"),
    ("constant",                                           "`not t.requires_grad`"),
    ("_value primal",                                      "`t.data`"),
)

AT = _table(  # of t.at[i]
    ("multiply mul",                                       "`t.at[i].set(t[i] * value)`"),
    ("divide div",                                         "`t.at[i].set(t[i] / value)`"),
    ("power pow",                                          "`t.at[i].set(t[i] ** value)`"),
    ("subtract sub",                                       "`t.at[i].add(-value)`"),
    ("min max",                                            "`t.at[i].set(np.minimum(t[i], value))`, `t.at[i].set(np.maximum(t[i], value))`"),
    ("apply",                                              "`t.at[i].set(np.exp(t[i]))`"),
    ("get",                                                "`t[i]`"),
)

PACKAGE = _table(
    # PyTorch
    ("as_tensor asarray array from_numpy FloatTensor DoubleTensor", "`Tensor(x)` to differentiate by it; a constant is a plain array"),
    ("LongTensor IntTensor BoolTensor long int64 int32",   "integers are plain arrays: `np.array(labels)`"),
    ("Variable Value Parameter constant",                  "`Tensor(x)`, or for a constant `Tensor(x, requires_grad=False)`"),
    ("randn normal",                                       "`np.random.default_rng(0).normal(size=shape)`"),
    ("rand uniform",                                       "`np.random.default_rng(0).uniform(size=shape)`"),
    ("randint randperm multinomial bernoulli random",      "`np.random.default_rng(0)` and its methods"),
    ("manual_seed seed set_seed",                          "pass `rng=0` or a generator, `np.random.default_rng(0)`, to what draws"),
    ("PRNGKey Generator get_rng_state key",                "`np.random.default_rng(0)`"),
    ("cat concat",                                         "`np.concatenate([a, b])`"),
    ("mm bmm mv addmm",                                    "`a @ W`"),
    ("clamp",                                              "`np.clip(t, low, high)`"),
    ("unsqueeze",                                          "`np.expand_dims(t, axis)`"),
    ("permute",                                            "`np.transpose(t, axes)`"),
    ("gather",                                             "`np.take_along_axis(t, places, axis=1)`"),
    ("norm",                                               "`np.linalg.norm(t)`"),
    ("pow",                                                "`t ** n`"),
    ("sub mul div neg",                                    "an operator: `a - b`, `a * b`, `a / b`, `-a`"),
    ("topk",                                               "`np.sort(t)[..., -n:]`"),
    ("is_tensor",                                          "`isinstance(t, Tensor)`"),
    ("enable_grad set_grad_enabled is_grad_enabled",       "recording is on outside of `no_grad()`, and `grad(f)` works inside too"),
    ("inference_mode",                                     "`no_grad()`"),
    ("autograd func",                                      "`grad(f)`, `vjp(f, x)`, `jvp(f, (x,), (x,))` and `jacobian(f)` are in autobp itself"),
    ("functional F",                                       "`nn.relu(x)`, `nn.cross_entropy(logits, labels)` and others are in autobp.nn; `softmax(x)` is in autobp too"),
    ("set_detect_anomaly",                                 "`with detect_anomaly(): f(x)`"),
    ("save",                                               "`train.save_weights(path, model.state_dict())`"),
    ("load",                                               "`model.load_state_dict(train.load_weights(path))`"),
    ("device cuda cpu mps backends set_default_device device_put devices default_device", CPU),
    ("float32 float64 float16 dtype finfo set_default_dtype get_default_dtype", "`np.float32`, as in `Tensor(x, dtype=np.float32)`"),
    ("utils",                                              "batches are in autobp.data: `data.batches(X, labels, size=4)`"),
    ("Module Linear Sequential",                           "`nn.Module`, `nn.Linear(3, 2)`, `nn.Sequential(model)`"),
    ("SGD Adam",                                           "`optim.SGD(params)`, `optim.Adam(params)`"),
    ("gradcheck gradgradcheck check_grads test_util",      "`check_gradients(f, x, order=2)`"),
    ("backward",                                           "`loss.backward()`"),
    ("max_pool conv",                                      "`max_pool2d(images, 2)`, `conv2d(images, kernels)`"),
    # JAX
    ("jit",                                                "`compile(f)`"),
    ("pmap shard_map sharding",                            "`train.gradient_over` adds up gradients over shards; else " + CPU),
    ("numpy jnp",                                          "NumPy itself, `np.exp(t)`: its functions record Tensors"),
    ("lax",                                                "`scan(lambda c, x: (c + np.sum(x), c), 0.0, t)`, Python's loops and conditions, and `np.where(mask, a, b)`"),
    ("fori_loop while_loop associative_scan",              "a loop of Python's, or `scan(lambda c, x: (c + np.sum(x), c), 0.0, t)`"),
    ("checkpoint checkpoint_sequential",                   "`remat(f)`, which is computed again in the backward pass"),
    ("custom_vjp custom_gradient defvjp defvjps Function", "`custom(f, vjp=rule)`"),
    ("custom_jvp defjvp",                          "`custom(f, jvp=rule)`"),
    ("jacfwd make_jvp_jacobian",                           "`jacobian(f, mode='forward')`"),
    ("jacrev",                                             "`jacobian(f, mode='reverse')`"),
    ("make_jaxpr xla_computation",                         "`graph(f(t))`, or the program `compiled.source`"),
    ("tree_map",                                           "`tree.map(np.sin, params_nest)`"),
    ("tree_util tree_leaves tree_flatten flatten_util flatten ravel_pytree", "`tree.ravel(params_nest)` or `tree.leaves(params_nest)`"),
    ("named_scope named_call profiler",                    "`scope('layer')`"),
    ("debug_nans debug disable_jit config",                "`detect_anomaly()`; without `compile` nothing is traced"),
    ("lax_stop_gradient zero_gradient",                    "`stop_gradient(t)`"),
    ("scipy ops",                                          "NumPy's functions, and those of autobp: `logsumexp(x)`"),
    # HIPS autograd
    ("elementwise_grad egrad",                             "`grad(lambda x: np.sum(np.sin(x)))(x)`"),
    ("hessian_vector_product make_hvp hessian_tensor_product", "`hvp(f, (x,), (x,))`"),
    ("make_vjp vector_jacobian_product make_ggnvp tensor_jacobian_product", "`vjp(f, x)`"),
    ("make_jvp",                                           "`jvp(f, (x,), (x,))`"),
    ("grad_and_aux",                                       "`value_and_grad(f_and_more, has_aux=True)`"),
    ("multigrad multigrad_dict grad_named",                "`grad(g, argnums=(0, 1))`"),
    ("holomorphic_grad deriv derivative",                  "`grad(f)`"),
    ("misc extend builtins",                               "`custom(f, vjp=rule)`, `tree.ravel(params_nest)`, `optim.Adam(params)`"),
    # Keras and TensorFlow
    ("GradientTape",                                       "a Tensor records by itself: `f(t).backward()`"),
    ("function",                                           "`compile(f)`"),
    ("keras layers models losses metrics activations initializers", "autobp.nn has them: `nn.Sequential(model)`, `nn.mse(x, x)`, `nn.relu(x)`, `nn.he()`"),
    ("optimizers callbacks",                               "`optim.Adam(params)`; callbacks are functions, `train.fit(..., callbacks=[f])`"),
    ("reduce_sum reduce_mean reduce_max",                  "`np.sum(t)`, `np.mean(t)`, `np.max(t)`"),
    ("convert_to_tensor cast",                             "`Tensor(x)`, `t.astype(np.float32)`"),
    # micrograd and MyGrad
    ("engine MLP Neuron Layer",                            "`Tensor(x)`, and `nn.MLP([2, 4, 1])`, `nn.Layer(2, 3)`, `nn.Neuron(2)`"),
    ("draw_dot plot_graph make_dot viz",                   "`draw(t)`"),
    ("nnet execute_op",                                    "`nn.cross_entropy(logits, labels)` and others are in autobp.nn"),
)

NN = _table(
    # PyTorch
    ("Parameter Buffer UninitializedParameter",            "a Tensor attribute of a Module is a parameter: `Tensor(x)`; one that is not trained is `Tensor(x, requires_grad=False)`"),
    ("ModuleList ModuleDict ParameterList ParameterDict",  "plain lists and dicts hold layers and parameters: `[nn.Linear(2, 2)]`"),
    ("CrossEntropyLoss CategoricalCrossentropy SparseCategoricalCrossentropy softmax_cross_entropy", "`nn.cross_entropy(logits, labels)`"),
    ("MSELoss MeanSquaredError mse_loss mean_squared_error l2_loss", "`nn.mse(x, x)`"),
    ("L1Loss l1_loss MeanAbsoluteError mae",               "`np.mean(np.abs(x - x))`"),
    ("SmoothL1Loss HuberLoss smooth_l1_loss huber_loss",   "`nn.huber(x, x)`"),
    ("BCELoss BinaryCrossentropy",                         "`nn.binary_cross_entropy(share, share)`"),
    ("BCEWithLogitsLoss sigmoid_cross_entropy sigmoid_binary_cross_entropy", "`nn.binary_cross_entropy_with_logits(x, share)`"),
    ("NLLLoss nll_loss",                                   "`nn.nll(log_shares, labels)`"),
    ("HingeEmbeddingLoss MarginLoss hinge_loss MultiMarginLoss", "`nn.hinge(x, signs)`"),
    ("KLDivLoss kl_div",                                   "`np.sum(share * (np.log(share) - log_of_share))`"),
    ("functional F",                                       "functions are in nn itself: `nn.relu(x)`, `nn.cross_entropy(logits, labels)`"),
    ("init",                                  "`nn.xavier()`, `nn.he()`, `nn.normal()`, as in `nn.Linear(3, 2, init=nn.he())`"),
    ("kaiming_normal_ kaiming_uniform_ kaiming_normal he_normal he_uniform", "`nn.he()`, as in `nn.Linear(3, 2, init=nn.he())`"),
    ("xavier_normal_ xavier_uniform_ glorot_normal glorot_uniform xavier_normal", "`nn.xavier()`, as in `nn.Linear(3, 2, init=nn.xavier())`"),
    ("normal_ uniform_ zeros_ ones_ constant_",            "`nn.normal()`, `nn.uniform(-1, 1)`, `nn.zeros()`"),
    ("utils",                                              "`optim.clip_grad_norm(params, 1.0)`"),
    ("RNN LSTM GRU RNNCell LSTMCell GRUCell SimpleRNN",    "a recurrent cell is a program: `np.tanh(x @ W + h @ W)` in a loop"),
    ("Transformer TransformerEncoderLayer MultiheadAttention MultiHeadAttention", "attention is a program: `nn.softmax(q @ k.T) @ v`"),
    ("Conv1d Conv3d ConvTranspose2d Conv1D",               "`nn.Conv2d(1, 2, 3)`, or autobp.conv1d"),
    ("max_pool2d avg_pool2d conv2d",                       "`max_pool2d(images, 2)`, `avg_pool2d(images, 2)`, `conv2d(images, kernels)` are in autobp"),
    ("dropout",                                            "`nn.Dropout(0.5)`"),
    ("batch_norm layer_norm",                              "`nn.BatchNorm1d(3)`, `nn.LayerNorm(3)`"),
    ("GroupNorm InstanceNorm2d RMSNorm",                   "`nn.LayerNorm(3)` or `nn.BatchNorm2d(3)`"),
    ("Unflatten Upsample Reshape Lambda PixelShuffle",     "a function is a layer: `nn.Sequential(model, lambda x: x.reshape(-1))`"),
    ("ReLU6 Hardtanh",                                     "`nn.Activation(lambda x: np.clip(x, 0, 6))`"),
    ("PReLU",                                              "`np.where(x > 0, x, t * x)` with a Tensor for the slope"),
    ("Softmax2d",                                          "`nn.Softmax(axis=1)`"),
    ("DataParallel parallel",                              "`train.gradient_over` adds up gradients over shards of data"),
    ("clip_grad_norm_",                                    "`optim.clip_grad_norm(params, 1.0)`"),
    ("Container",                               "`nn.Module`"),
    # Keras and Flax
    ("Dense",                                              "`nn.Linear(3, 2)`"),
    ("Conv Conv2D",                                        "`nn.Conv2d(1, 2, 3)`"),
    ("MaxPool MaxPooling2D MaxPool2D",                     "`nn.MaxPool2d(2)`"),
    ("AvgPool AveragePooling2D",                           "`nn.AvgPool2d(2)`"),
    ("BatchNorm BatchNormalization",                       "`nn.BatchNorm1d(3)` or `nn.BatchNorm2d(3)`"),
    ("LayerNormalization",                                 "`nn.LayerNorm(3)`"),
    ("Input InputLayer",                                   "`model.summary((1, 3))` tells the shapes; layers state theirs: leave it out"),
    ("Model",                                              "`nn.Module`"),
    ("compact jitand_grad",                  "a Module is a plain object; functions of it: `compile(f)`, `nn.functional_call(model, model.state_dict(), x)`"),
    ("regularizers l1 l2 weight_decay",                    "`nn.l2_penalty(params)`"),
    # scores
    ("Accuracy accuracy_score",                            "`nn.accuracy(logits, labels)`"),
    ("to_categorical",                                     "`nn.one_hot(labels)`"),
)

MODULE = _table(
    ("register_parameter",                         "a Tensor attribute is a parameter: `model.w = Tensor(x)`"),
    ("add_module register_module append extend insert",    "modules in attributes, lists and dicts are found: `model.layers = [nn.Linear(2, 2)]`"),
    ("to cuda cpu device",                                 "for a dtype `model.astype(np.float32)`; for devices, " + CPU),
    ("float",                                              "`model.astype(np.float32)`"),
    ("double",                                             "`model.astype(np.float64)`"),
    ("half bfloat16",                                      "`model.astype(np.float16)`"),
    ("requires_grad_ freeze trainable",                    "`for p in model.parameters(): p.requires_grad = False`"),
    ("apply",                                              "`for module in model.modules(): print(module)`"),
    ("get_submodule get_parameter submodules",             "`dict(model.named_modules())`, `dict(model.named_parameters())`"),
    ("share_memory",                                       CPU),
    ("register_forward_hook register_backward_hook register_full_backward_hook", "`model(x).register_hook(f)`, or a `forward` that calls another"),
    ("save save_weights",                                  "`train.save_weights(path, model.state_dict())`"),
    ("load load_weights from_pretrained",                  "`model.load_state_dict(train.load_weights(path))`"),
    ("predict predict_proba predict_on_batch",             "`train.predict(model, X)`"),
    ("fit train_on_batch fit_generator",                   "`train.fit(model, (X, labels), nn.cross_entropy, optimizer, progress=False)`"),
    ("evaluate score test_on_batch",                       "`train.evaluate(model, (X, labels), nn.cross_entropy)`"),
    ("compile",                                            "`train.fit` takes loss and optimizer; `compile(model)` makes a program"),
    ("jit script",                                         "`compile(model)`"),
    ("weights trainable_weights trainable_variables variables params", "`list(model.parameters())`"),
    ("get_weights",                                        "`model.state_dict()`"),
    ("set_weights",                                        "`model.load_state_dict(model.state_dict())`"),
    ("count_params num_parameters",                        "`model.summary((1, 3))`, or `sum(p.size for p in model.parameters())`"),
    ("build call init",                                    "define `forward`, and call the model: `model(x)`"),
    ("add",                                                "a container gets its layers at once: `nn.Sequential(model, nn.Linear(3, 2))`"),
    ("layers",                                             "`list(model.children())`"),
    ("forward",                                            "a subclass of Module defines it: def forward(self, x)"),
    ("inference",                                          "`train.predict(model, X)`"),
)

OPTIM = _table(
    ("lr_scheduler schedulers learning_rate_schedule",     "schedules are in optim itself: `optim.StepLR(optimizer, 10)`"),
    ("Adadelta NAdam RAdam Adamax Lion ASGD Rprop Nadam Lamb", "`optim.Adam(params)`; for another update, subclass `optim.Optimizer`"),
    ("LBFGS",                                              "`optim.minimize(f, x)`, over SciPy's methods"),
    ("Momentum SGDMomentum momentum",                      "`optim.SGD(params, lr=0.1, momentum=0.9)`"),
    ("Nesterov",                                           "`optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True)`"),
    ("RMSProp rmsprop",                                    "`optim.RMSprop(params)`"),
    ("AdaGrad adagrad",                                    "`optim.Adagrad(params)`"),
    ("sgd",                                                "`optim.SGD(params, lr=0.1)`"),
    ("adam",                                               "`optim.Adam(params)`"),
    ("adamw",                                              "`optim.AdamW(params)`"),
    ("clip_grad_norm_ clip_by_global_norm",                "`optim.clip_grad_norm(params, 1.0)`"),
    ("apply_updates chain",                                "`optimizer.step()`"),
    ("CosineAnnealing CosineDecay cosine_decay_schedule",  "`optim.CosineAnnealingLR(optimizer, 10)`"),
    ("OneCycleLR CyclicLR WarmupLR PolynomialLR ChainedScheduler", "`optim.SequentialLR` of `optim.LinearLR(optimizer)` and `optim.CosineAnnealingLR(optimizer, 10)`"),
    ("LRScheduler _LRScheduler LearningRateSchedule",      "`optim.Schedule`"),
    ("swa_utils AveragedModel",                            "an average of weights: `average *= 0.9` and `average += 0.1 * t` under `no_grad()`"),
)

DATA = _table(
    ("DataLoader Dataset TensorDataset IterableDataset Subset", "`data.batches(X, labels, size=4, shuffle=True)`"),
    ("random_split train_test_split",                      "`data.split(X, labels)`"),
    ("KFold cross_val_score",                              "`data.k_folds(8, 2)`"),
    ("StandardScaler scale normalize",                     "`data.standardize(X)`"),
    ("make_moons",                                         "`data.moons()`"),
    ("make_circles",                                       "`data.circles()`"),
    ("load_digits",                                        "`data.digits()`"),
    ("MNIST FashionMNIST datasets",                        "`data.mnist`, `data.fashion_mnist`, or what needs no network: `data.digits()`"),
    ("transforms",                                         "NumPy's functions: `(X - X.mean()) / X.std()`"),
)

TRAIN = _table(
    ("Trainer Model train compile",                        "`train.fit(model, (X, labels), nn.cross_entropy, optimizer, progress=False)`"),
    ("EarlyStopping ReduceLROnPlateau",                    "`train.fit` has patience= and schedule=`optim.ReduceLROnPlateau(optimizer)`"),
    ("ModelCheckpoint",                                    "`train.fit` has checkpoint= and keep_best="),
    ("save save_model",                                    "`train.save_weights(path, model.state_dict())`"),
    ("load load_model",                                    "`model.load_state_dict(train.load_weights(path))`"),
    ("GridSearchCV",                                       "`train.sweep`"),
    ("KFold cross_val_score",                              "`train.cross_validate`"),
)

#: Keywords of other libraries: what to write instead.
KEYWORDS = _table(
    ("dim dims",                                           "axis="),
    ("keepdim keep_dims",                                  "keepdims="),
    ("start_dim end_dim",                                  "`t.reshape(len(t), -1)`"),
    ("dim0 dim1",                                          "`np.swapaxes(t, 0, 1)`"),
    ("unbiased",                                "ddof=1 or ddof=0"),
    ("descending",                                         "`np.flip(np.sort(t))`"),
    ("largest",                                            "`np.sort(t)`"),
    ("perm",                                               "axes="),
    ("argnum",                                             "argnums="),
    ("static_argnums static_argnames donate_argnums",      "what is no array is a constant anyway, and donate= gives arrays away: leave it out"),
    ("fullgraph dynamic backend",                          "compile has no such choice: leave it out"),
    ("holomorphic allow_int reduce_axes",                  "numbers are real: leave it out"),
    ("retain_graph",                                       "a second backward works anyway: leave it out"),
    ("create_graph",                                       "`grad(grad(f))(value)`"),
    ("allow_unused",                                       "what is unused has a gradient of 0: leave it out"),
    ("set_to_none",                                        "gradients are cleared to None: leave it out"),
    ("inplace",                                            "a layer makes a new array: leave it out"),
    ("device memory_format non_blocking pin_memory",       CPU),
    ("generator key seed random_state",                    "rng="),
    ("size_average reduce",                                "reduction='mean', 'sum' or 'none'"),
    ("has_aux",                                            "`value_and_grad(f_and_more, has_aux=True)` and grad have it"),
    ("learning_rate",                                      "lr="),
    ("amsgrad foreach fused capturable differentiable maximize dampening decay nesterov_momentum", "this option does not exist here: leave it out"),
    ("validation_data",                                    "validation=(X, y)"),
    ("validation_split",                                   "validation=`data.split(X, labels)[1]`"),
    ("verbose",                                            "progress=False"),
    ("kernel_initializer weight_init",                     "init=, as in `nn.Linear(3, 2, init=nn.he())`"),
    ("use_bias",                                           "bias="),
    ("units in_dim out_dim",                               "`nn.Linear(3, 2)`: the sizes by position"),
)
# fmt: on


# ── attributes ────────────────────────────────────────────────────────────────────────────────────


class AbsentError(AttributeError):
    """An attribute that is not there. The text is made when it is read: most of these errors are
    caught, by hasattr, copy, pickle or NumPy."""

    def __init__(self, said: str, name: str, hint: Callable[[], str]) -> None:
        super().__init__(said, name=name, obj=None)  # with the object Python would add a guess
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]}{self.hint()}"

    def __reduce__(self) -> Any:
        return AttributeError, (str(self),)  # hints are functions, which are not pickled


def absent(
    said: str,
    name: str,
    table: Table,
    known: Callable[[], Iterable[str]],
    *,
    numpy: bool = False,
) -> AbsentError:
    """The error for a name. The hint is that of the `table`; else, where NumPy's functions may be meant,
    that of NumPy; else the nearest of the names that are known."""

    def hint() -> str:
        if name in table:
            return f": {written(table[name])}"
        if numpy and name[:1] != "_":
            function = getattr(np, name, None)
            if isinstance(function, np.ufunc) and function.nin == 1:
                return f": write `np.{name}(t)`"
            if callable(function) and not isinstance(function, type):
                return f": write `np.{name}`, which takes Tensors" * (function in NUMPY)
        from difflib import get_close_matches  # late: not needed to import autobp

        near = get_close_matches(name, known(), 1, 0.75) if name[:2] != "__" else []
        return f"; did you mean {near[0]!r}?" if near else ""

    return AbsentError(said, name, hint)


class Absent:
    """An attribute of a class that raises the error for its name. A `__getattr__` would say the same, but
    makes every attribute slower, by a third in sweeps."""

    __slots__ = ("name", "table")

    def __init__(self, name: str, table: Table) -> None:
        self.name = name
        self.table = table

    def __get__(self, instance: Any, owner: type) -> Any:
        said = f"{owner.__name__!r} object has no attribute {self.name!r}"
        raise absent(said, self.name, self.table, tuple, numpy=True)


class NotASwitch(Absent):
    """Keras' `trainable`, which would be a plain attribute here, and change nothing."""

    __slots__ = ()

    def __set__(self, instance: Any, value: Any) -> None:
        raise AttributeError(
            f"{type(instance).__name__} has no switch {self.name!r}: write"
            " `for p in model.parameters(): p.requires_grad = False`"
        )


def add_absent(kind: type, table: Table, numpy: bool = False) -> None:
    """Let a class explain the names of a table, and of NumPy's functions that it has not."""
    functions = {getattr(f, "__name__", ""): f for f in NUMPY} if numpy else {}
    more = (name for name, f in functions.items() if getattr(np, name, None) is f)
    for name in (*table, *more):
        if not hasattr(kind, name):
            setattr(kind, name, Absent(name, table))


def present(thing: Any) -> list[str]:
    """What dir() is to list: not the names that are only explained."""
    kinds = type(thing).__mro__
    return [
        name
        for name in object.__dir__(thing)
        if not any(isinstance(vars(kind).get(name), Absent) for kind in kinds)
        or name in getattr(thing, "__dict__", ())
    ]


def written(hint: str) -> str:
    return f"write {hint}" if hint.startswith("`") else hint


def absent_from_module(
    module: str, name: str, table: Table, known: Callable[[], Iterable[str]]
) -> Exception:
    """The error for a module's `__getattr__` to raise: an ImportError with the same hint where the
    name is imported, since Python forgets the text of an AttributeError there."""
    said = f"module {module!r} has no attribute {name!r}"
    error = absent(said, name, table, known, numpy=module == "autobp")
    from opcode import opmap  # late: not needed to import autobp

    frame = sys._getframe(2)
    code, at = frame.f_code.co_code, frame.f_lasti
    if 0 <= at < len(code) and code[at] == opmap["IMPORT_FROM"]:
        return ImportError(f"cannot import name {name!r} from {module!r}{error.hint()}")
    return error


# ── keywords ──────────────────────────────────────────────────────────────────────────────────────


def foreign_keyword(who: str, names: Iterable[str]) -> TypeError | None:
    """The error for keywords of another library, if there is one among the names."""
    for name in names:
        if name in KEYWORDS:
            return TypeError(f"{who} has no {name}=: {written_keyword(KEYWORDS[name])}")
    return None


def written_keyword(hint: str) -> str:
    word = hint.split("=")[0]
    return (
        f"write {hint}" if hint.startswith("`") or (word.isidentifier() and "=" in hint) else hint
    )


def checks_keywords(function: F) -> F:
    """Let a function explain keywords of other libraries. It costs calls with keywords alone."""
    code = getattr(function, "__wrapped__", function).__code__
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    foreign = KEYWORDS.keys() - set(own)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not foreign.isdisjoint(kwargs):
            named = [name for name in kwargs if name in foreign]
            raise foreign_keyword(function.__name__, named)  # type: ignore[misc]
        return function(*args, **kwargs)

    return cast(F, checked)


def check_set_to_none(set_to_none: bool) -> None:
    """Of zero_grad: the gradient is always cleared to None, PyTorch's default."""
    if not set_to_none:
        raise ValueError(
            "zero_grad(set_to_none=False): gradients are cleared to None; for zeros, which let momentum"
            " and weight decay move a parameter, write p.grad = np.zeros(p.shape)"
        )
