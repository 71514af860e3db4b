"""The operators that TF-TRT and TensorRT's ONNX parser say they take."""

# What `get_registered_op_converters()` of TensorFlow 2.17.1's TF-TRT lists, for TensorRT 8.6.1.
TF_TRT = frozenset(
    """
    Abs Acos Acosh Add AddN AddV2 ArgMax ArgMin Asin Asinh Atan Atanh AvgPool AvgPool3D BatchMatMul
    BatchMatMulV2 BiasAdd Cast Ceil ClipByValue CombinedNonMaxSuppression ConcatV2 Const Conv2D
    Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Cos Cosh DataFormatVecPermute DepthToSpace
    DepthwiseConv2dNative Div Einsum Elu Equal Erf Exp ExpandDims FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxVars Fill Floor FloorDiv FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
    FusedConv2DBiasActivation GatherV2 Greater GreaterEqual Identity IdentityN LeakyRelu Less
    LessEqual Log LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool MaxPool3D Maximum
    Mean Min Minimum Mul Neg OnesLike Pack Pad Pow Prod QuantizeAndDequantizeV2
    QuantizeAndDequantizeV3 Range RealDiv Reciprocal Relu Relu6 Reshape ResizeBilinear
    ResizeNearestNeighbor Round Rsqrt Select SelectV2 Selu Shape Sigmoid Sign Sin Sinh Slice
    Snapshot Softmax Softplus Softsign SpaceToDepth Split Sqrt Square SquaredDifference Squeeze
    StopGradient StridedSlice Sub Sum Tan Tanh Tile TopKV2 Transpose Unpack ZerosLike
    """.split()
)

# The support matrices of onnx-tensorrt (docs/operators.md): of 8.5, the last one written for
# TensorRT 8, and what that of 10.15 has besides.
ONNX_8 = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast
    Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace
    DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
    GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
    GridSample GRU HardSigmoid HardSwish Identity If InstanceNormalization IsNaN LeakyRelu Less
    LessOrEqual Log LogSoftmax Loop LRN LSTM LpNormalization LpPool MatMul Max MaxPool Mean
    MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or Pad PRelu Pow
    QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RNN RoiAlign Round Scan Scatter
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus
    Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose
    Trilu Unsqueeze Upsample Where Xor
    """.split()
)
ONNX_10 = ONNX_8 | frozenset(
    """
    Attention BlackmanWindow CastLike DeformConv Gelu GroupNormalization HammingWindow HannWindow
    Hardmax IsInf LayerNormalization Mish RMSNormalization RotaryEmbedding STFT
    """.split()
)
